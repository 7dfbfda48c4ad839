"""Ternary weights after training, by the error of what layers put out on calibration data.

`reconstruct` goes from layer to layer; `refit` fits those that stay int8 or float to what comes
from the ternary ones before them. Of recurrent layers, `recurrent` starts from the codes that
serve the gates best (`start`), goes on by `descent` on the error of the states that the model
`reads` (`cells` has the steps, `gradients` the way back through time), and `putting` writes them.
"""
