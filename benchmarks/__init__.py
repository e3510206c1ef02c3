"""What this project promises, measured: ``scripts/bench NAME``. Not in the wheel."""
