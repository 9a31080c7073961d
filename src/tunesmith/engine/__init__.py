"""Floor 3, engine: owns time. One loop for every objective; knows no data format or model."""
