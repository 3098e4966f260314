"""What every training verb stands on: the session around a run, the launcher's settings, a trainer made safe."""
