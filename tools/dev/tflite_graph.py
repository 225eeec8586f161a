"""A TFLite file for a linear classifier, written with the schema that ai-edge-litert brings.

FULLY_CONNECTED with int8 weights, MUL, ADD, LOGISTIC: what every runtime has, tflite-runtime 2.14 too. For the export
of triage (triage_tflite.py) and for tests, which need small models of each kind of input.
"""

from __future__ import annotations

from typing import Any


def linear(weights: Any, scales: Any, biases: Any, *, bytes_in: bool = False) -> bytes:
    """logistic(scales * (weights @ x) + biases); weights: int8, a row for each output. bytes_in: x is 8-bit, 0..1."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    labels, count = weights.shape
    buffers = [schema.BufferT(), *[_buffer(schema, one) for one in (weights, scales, biases)]]
    tensors = [
        _tensor(schema, "words", (1, count), schema.TensorType.FLOAT32, 0),
        _tensor(schema, "weights", (labels, count), schema.TensorType.INT8, 1),
        _tensor(schema, "scales", (labels,), schema.TensorType.FLOAT32, 2),
        _tensor(schema, "biases", (labels,), schema.TensorType.FLOAT32, 3),
        *[_tensor(schema, name, (1, labels), schema.TensorType.FLOAT32, 0) for name in ("sums", "scaled", "moved",
                                                                                         "probabilities")],
    ]
    tensors[1].quantization = _quantization(schema, 1.0)
    operators, codes = schema.BuiltinOperator, []
    for code, version in ((operators.FULLY_CONNECTED, 3), (operators.MUL, 1), (operators.ADD, 1),
                          (operators.LOGISTIC, 1), (operators.DEQUANTIZE, 1)):
        one = schema.OperatorCodeT()
        one.builtinCode = one.deprecatedBuiltinCode = code
        one.version = version
        codes.append(one)
    graph = schema.SubGraphT()
    graph.tensors, graph.inputs, graph.outputs = tensors, [0], [7]
    kinds = schema.BuiltinOptions
    graph.operators = [
        _operator(schema, 0, [0, 1, -1], 4, kinds.FullyConnectedOptions, schema.FullyConnectedOptionsT()),
        _operator(schema, 1, [4, 2], 5, kinds.MulOptions, schema.MulOptionsT()),
        _operator(schema, 2, [5, 3], 6, kinds.AddOptions, schema.AddOptionsT()),
        _operator(schema, 3, [6], 7, kinds.NONE, None),
    ]
    if bytes_in:
        tensors.append(_tensor(schema, "bytes", (1, count), schema.TensorType.UINT8, 0))
        tensors[8].quantization = _quantization(schema, 1 / 255)
        graph.inputs = [8]
        graph.operators.insert(0, _operator(schema, 4, [8], 0, kinds.DequantizeOptions, schema.DequantizeOptionsT()))
    model = schema.ModelT()
    model.version, model.operatorCodes, model.subgraphs, model.buffers = 3, codes, [graph], buffers
    builder = flatbuffers.Builder(1 << 18)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _quantization(schema: Any, scale: float) -> Any:
    found = schema.QuantizationParametersT()
    found.scale, found.zeroPoint = [scale], [0]
    return found


def _buffer(schema: Any, values: Any) -> Any:
    import numpy as np

    buffer = schema.BufferT()
    buffer.data = np.frombuffer(values.tobytes(), dtype=np.uint8)
    return buffer


def _tensor(schema: Any, name: str, shape: tuple[int, ...], kind: int, buffer: int) -> Any:
    tensor = schema.TensorT()
    tensor.name, tensor.shape, tensor.type, tensor.buffer = name, list(shape), kind, buffer
    return tensor


def _operator(schema: Any, code: int, inputs: list[int], output: int, kind: int, options: Any) -> Any:
    operator = schema.OperatorT()
    operator.opcodeIndex, operator.inputs, operator.outputs = code, inputs, [output]
    operator.builtinOptionsType, operator.builtinOptions = kind, options
    return operator
