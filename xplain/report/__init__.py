"""The pages and plots of explanations and segmentations."""
