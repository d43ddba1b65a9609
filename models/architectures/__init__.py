"""The fully supervised networks of the paper, of timm's parts; `models.networks.build` makes them.

Each has the three parts of segmentation-models-pytorch: `encoder`, `decoder` and
`segmentation_head`, so whatever looks between the parts of a network does so here, too.
"""
