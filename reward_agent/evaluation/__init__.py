"""What a trained policy does: fresh episodes, their scores, their summary, their video."""
