"""Training with ternary weights: thin layers for PyTorch (ternc.qat.torch) and Keras.

Neither framework is imported before its module is.
"""
