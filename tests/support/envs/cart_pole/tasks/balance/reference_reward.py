def compute_reward(state, action, next_state):
    """Keep the pole upright and the cart near the middle."""
    upright = tolerance(next_state.pole_angle, bounds=(-0.02, 0.02), margin=0.2)
    centred = tolerance(next_state.cart_position, bounds=(-0.3, 0.3), margin=2.4)
    terms = {"upright": 0.8 * upright, "centred": 0.2 * centred}
    return sum(terms.values()), terms
