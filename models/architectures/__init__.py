"""What networks there are, and the weights that their encoders may begin with.

`models.networks` builds them by name. Each but the small U-Net has the three parts of
segmentation-models-pytorch: `encoder`, `decoder` and `segmentation_head`, so whatever looks
between the parts of a network does so here, too.
"""
