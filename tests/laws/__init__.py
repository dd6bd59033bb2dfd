"""The laws of the service, each stated once, for the simulator, the local stack and the soak."""
