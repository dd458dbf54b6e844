"""Networks of others, as encoders: ONNX, OpenVINO, torchreid's and FastReID's files, timm.

`network` says what a person names, `inputs` how pictures become the network's input; one file for
each runtime; `encoder` puts a head on top.
"""
