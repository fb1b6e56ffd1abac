"""What stands in place of elements that are not kept."""
