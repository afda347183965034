"""An IR of 1 kB that shows whether a tool works: a convolution of 1x1 over an image."""

from __future__ import annotations

from pathlib import Path

import numpy as np

INPUT, OUTPUT = "picture", "mixed"
PICTURE = np.arange(3 * 8 * 8, dtype=np.uint8).reshape(1, 3, 8, 8)
WEIGHTS = np.array([[1, 0.5, 0.25], [-1, 2, 0.125]], np.float32)
ANSWER = np.einsum("oc,nchw->nohw", WEIGHTS, PICTURE.astype(np.float32))

_LAYERS = """<?xml version="1.0"?>
<net name="tiny" version="11">
	<layers>
		<layer id="0" name="picture" type="Parameter" version="opset1">
			<data shape="1,3,8,8" element_type="f32"/>
			<output><port id="0" precision="FP32" names="picture">{picture}</port></output>
		</layer>
		<layer id="1" name="weights" type="Const" version="opset1">
			<data element_type="f32" shape="2,3,1,1" offset="0" size="24"/>
			<output><port id="0" precision="FP32">{weights}</port></output>
		</layer>
		<layer id="2" name="mix" type="Convolution" version="opset1">
			<data strides="1,1" dilations="1,1" pads_begin="0,0" pads_end="0,0" auto_pad="explicit"/>
			<input><port id="0" precision="FP32">{picture}</port><port id="1" precision="FP32">{weights}</port></input>
			<output><port id="2" precision="FP32" names="mixed">{mixed}</port></output>
		</layer>
		<layer id="3" name="mixed/sink" type="Result" version="opset1">
			<input><port id="0" precision="FP32">{mixed}</port></input>
		</layer>
	</layers>
	<edges>
		<edge from-layer="0" from-port="0" to-layer="2" to-port="0"/>
		<edge from-layer="1" from-port="0" to-layer="2" to-port="1"/>
		<edge from-layer="2" from-port="2" to-layer="3" to-port="0"/>
	</edges>
</net>
"""


def write_ir(path: Path) -> Path:
    """Write it as IR v11, its .bin beside it: [1, 3, 8, 8] in, [1, 2, 8, 8] out."""
    shapes = {"picture": (1, 3, 8, 8), "weights": (2, 3, 1, 1), "mixed": (1, 2, 8, 8)}
    dims = {name: "".join(f"<dim>{size}</dim>" for size in shape) for name, shape in shapes.items()}
    path.write_text(_LAYERS.format(**dims))
    path.with_suffix(".bin").write_bytes(WEIGHTS.tobytes())
    return path
