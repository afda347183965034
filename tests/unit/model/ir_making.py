"""Writes small networks in OpenVINO's own format for tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np

NETWORK = """<?xml version="1.0"?>
<net name="small" version="{version}">
  <layers>
    <layer id="0" name="x" type="Parameter" version="opset1">
      <data shape="{shape}" element_type="f32"/>
      <output><port id="0" precision="FP32" names="x">{dims}</port></output>
    </layer>
    <layer id="1" name="w" type="Const" version="opset1">
      <data element_type="f32" shape="4,3,3,3" offset="{offset}" size="{size}"/>
      <output><port id="0" precision="FP32"><dim>4</dim><dim>3</dim><dim>3</dim><dim>3</dim></port></output>
    </layer>
    <layer id="2" name="conv" type="Convolution" version="opset1">
      <data strides="1,1" dilations="1,1" pads_begin="0,0" pads_end="0,0" auto_pad="explicit"/>
      <input>
        <port id="0">{dims}</port>
        <port id="1"><dim>4</dim><dim>3</dim><dim>3</dim><dim>3</dim></port>
      </input>
      <output><port id="2" precision="FP32" names="conv_tensor">{out}</port></output>
    </layer>
    <layer id="3" name="y" type="ReLU" version="opset1">
      <input><port id="0">{out}</port></input>
      <output><port id="1" precision="FP32" names="y">{out}</port></output>
    </layer>
    <layer id="4" name="y/sink_port_0" type="Result" version="opset1">
      <input><port id="0">{out}</port></input>
    </layer>
  </layers>
  <edges>
    <edge from-layer="0" from-port="0" to-layer="2" to-port="0"/>
    <edge from-layer="1" from-port="0" to-layer="2" to-port="1"/>
    <edge from-layer="2" from-port="2" to-layer="3" to-port="0"/>
    <edge from-layer="3" from-port="1" to-layer="4" to-port="0"/>
  </edges>
  <meta_data><MO_version value="2021.4"/></meta_data>
</net>
"""
WEIGHTS = np.random.default_rng(7).normal(size=(4, 3, 3, 3)).astype(np.float32)


def dims(*sizes: int) -> str:
    return "".join(f"<dim>{size}</dim>" for size in sizes)


def write_ir(
    path: Path, version: int | str = 10, shape: str = "1,3,8,8", weights: np.ndarray | None = None, **changes: str
) -> Path:
    """y = ReLU(Conv(x, w)) on [1, 3, 8, 8]; `changes` replace words of the XML."""
    values = {"version": str(version), "shape": shape, "offset": "0", "size": "432"}
    text = NETWORK.format(**{**values, **changes}, dims=dims(1, 3, 8, 8), out=dims(1, 4, 6, 6))
    path.write_text(text)
    path.with_suffix(".bin").write_bytes((WEIGHTS if weights is None else weights).tobytes())
    return path
