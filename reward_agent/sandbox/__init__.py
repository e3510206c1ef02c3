"""The isolation of children that load generated code."""
