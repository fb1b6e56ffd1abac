"""Explanations in TensorBoard, MLflow and Weights & Biases: ``e.log("tensorboard")``."""
