"""The instruction set, defined once: everything that names an opcode follows from `OPCODES`.

`python -m ternc.backends.esp32.generate --write` regenerates `runtime_c/src/ternc_isa.h` (argument
structs, X-macro, kernel declarations) and the table in `runtime_c/BYTECODE.md`; `--check` fails
when either is stale. Codes are never reused; a changed meaning raises `revision`.

Adding an instruction: one `Opcode` here, `--write`, one kernel in `runtime_c/src/kernels/`, and
the lowering function that emits it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Kind(Enum):
    """What one 32-bit operand word holds; the value is its letter in the C `kinds` string."""

    IN = "i"  # index of a tensor that is read (any region)
    OUT = "o"  # index of a tensor that is written (never constants)
    CONST = "c"  # index of a tensor in the constants region
    SCRATCH = "s"  # index of a tensor that the kernel may use as it likes
    U32 = "u"
    I32 = "j"
    F32 = "f"


class Walk(Enum):
    """In which order an image is computed whose output may lie over a part of x (overlap.py).

    The value says in BYTECODE.md where it may begin.
    """

    UNKNOWN = ""
    PIXELS = "y ahead of x or behind it"  # one by one; from the last where y begins behind x
    PAIRS = "y ahead of x"  # each two pixels read before either is written, from the first on
    CHANNELS = "a smaller y where x begins"  # each read as a whole before it is written


TENSOR_KINDS = frozenset({Kind.IN, Kind.OUT, Kind.CONST, Kind.SCRATCH})
NO_TENSOR = 0xFFFFFFFF  # an optional tensor operand that is absent


@dataclass(frozen=True, slots=True)
class Operand:
    """One operand; `optional` tensors may be `NO_TENSOR` (upper-case letter in `kinds`)."""

    name: str
    kind: Kind
    optional: bool = False

    @property
    def letter(self) -> str:
        return self.kind.value.upper() if self.optional else self.kind.value


@dataclass(frozen=True, slots=True)
class Opcode:
    """One instruction: `aliases` lists (input, output) pairs that may share memory exactly."""

    code: int
    name: str
    operands: tuple[Operand, ...]
    synopsis: str
    aliases: tuple[tuple[str, str], ...] = ()
    revision: int = 1
    walk: Walk = Walk.UNKNOWN

    @property
    def kinds(self) -> str:
        return "".join(operand.letter for operand in self.operands)


def _operands(spec: str) -> tuple[Operand, ...]:
    """`"x:i w:c b:C y:o n:u"` as operands (an upper-case letter marks an optional tensor)."""
    out = []
    for item in spec.split():
        name, letter = item.split(":")
        out.append(Operand(name, Kind(letter.lower()), optional=letter.isupper()))
    return tuple(out)


def _numbered(prefix: str, count: int, letter: str) -> str:
    return " ".join(f"{prefix}{i}:{letter}" for i in range(count))


RANK = 6  # of the n-dimensional instructions; unused leading dims are 1, their strides 0

_IMAGE = "n:u in_h:u in_w:u in_c:u out_h:u out_w:u out_c:u"
_WINDOW = (
    "kernel_h:u kernel_w:u stride_h:u stride_w:u dilation_h:u dilation_w:u pad_top:j pad_left:j"
)
_CONV = f"{_IMAGE} {_WINDOW} up_h:u up_w:u groups:u"
_DENSE = "rows:u in_features:u out_features:u"
_ND2 = " ".join(
    (_numbered("d", RANK, "u"), _numbered("xs", RANK, "j"), _numbered("ys", RANK, "j"))
)
_ND_AB = " ".join(
    (_numbered("d", RANK, "u"), _numbered("as", RANK, "j"), _numbered("bs", RANK, "j"))
)
_POOL = f"n:u in_h:u in_w:u channels:u out_h:u out_w:u {_WINDOW}"
_MATMUL = (
    "batch0:u batch1:u rows:u inner:u cols:u a_batch0:u a_batch1:u a_row:u a_inner:u"
    " b_batch0:u b_batch1:u b_inner:u b_col:u"
)
_REQUANT = "shift:u lo:j hi:j"
_RESIDUAL = "r:I y_m:j r_m:j sum_c:j sum_shift:u sum_lo:j sum_hi:j"
_SEQUENCE = "steps:u batch:u in_features:u hidden:u directions:u reverse:u"
_STATES = f"h0:I y:O h_last:O scratch:s {_SEQUENCE}"
_CELLS = f"h0:I c0:I y:O h_last:O c_last:O scratch:s {_SEQUENCE}"
_FLOATS = "x:i w:c r:c b:C"
_SCALED = "x:i w:c r:c m_w:c m_r:c b:C"
_INTEGERS = "x:i w:c r:c m_w:c m_r:c c:c"
_LOOKED_UP = "x:i w:c k:c"
_OUT = "shift:u out_m:j out_c:j out_shift:u lo:j hi:j"
_AXIS = "outer:u n:u inner:u"

OPCODES: tuple[Opcode, ...] = (
    # Multiply-accumulate layers. Images are NHWC; weights of convolutions are
    # [out_c][kh][kw][in_c/groups], dense weights [out_features][in_features]. Weight layouts: f32,
    # w8 (int8), t2 (interchange 2-bit ternary, no row padding). Requantization (m, c, shift) is
    # design.md's one definition: y = clamp((acc*m[o] + (c[o] << 16)) >> (16 + shift), lo, hi), acc
    # = sum of w*x with padding taps reading x_zero. up_h/up_w > 1 stuff zeros between input
    # rows/columns (ConvTranspose).
    Opcode(0x01, "conv2d_f32", _operands(f"x:i w:c b:C y:o {_CONV} lo:f hi:f"),
           "y = clamp(conv(x, w) + b), all float32", walk=Walk.PIXELS),
    Opcode(0x02, "conv2d_f32_w8", _operands(f"x:i w:c m:c b:C y:o {_CONV} lo:f hi:f"),
           "y = clamp(conv(x, w)*m[o] + b[o]), int8 weights, float32 activations",
           walk=Walk.PIXELS),
    Opcode(0x03, "conv2d_f32_t2", _operands(f"x:i w:c m:c b:C y:o {_CONV} lo:f hi:f"),
           "y = clamp(conv(x, w)*m[o] + b[o]), ternary weights, float32 activations",
           walk=Walk.PIXELS),
    Opcode(0x04, "conv2d_i8",
           _operands(f"x:i w:c w_zero:C m:c c:c y:o {_CONV} x_zero:j {_REQUANT}"),
           "y = requant(conv(x, w - w_zero[o])), int8", walk=Walk.PIXELS),
    Opcode(0x05, "conv2d_i8_t2", _operands(f"x:i w:c m:c c:c y:o {_CONV} x_zero:j {_REQUANT}"),
           "y = requant(conv(x, w)), ternary weights, int8 activations", walk=Walk.PIXELS),
    Opcode(0x06, "conv2d_i8f",
           _operands(f"x:i w:c w_zero:C m:c b:c y:o {_CONV} x_zero:j lo:f hi:f"),
           "y = clamp(float(conv(x, w - w_zero[o]))*m[o] + b[o]), int8 in, float32 out",
           walk=Walk.PIXELS),
    Opcode(0x07, "conv2d_i8f_t2", _operands(f"x:i w:c m:c b:c y:o {_CONV} x_zero:j lo:f hi:f"),
           "y = clamp(float(conv(x, w))*m[o] + b[o]), ternary weights, int8 in, float32 out",
           walk=Walk.PIXELS),
    Opcode(0x08, "dense_f32", _operands(f"x:i w:c b:C y:o {_DENSE} lo:f hi:f"),
           "y = clamp(x w^T + b), all float32"),
    Opcode(0x09, "dense_f32_w8", _operands(f"x:i w:c m:c b:C y:o {_DENSE} lo:f hi:f"),
           "y = clamp((x w^T)*m[o] + b[o]), int8 weights, float32 activations"),
    Opcode(0x0A, "dense_f32_t2", _operands(f"x:i w:c m:c b:C y:o {_DENSE} lo:f hi:f"),
           "y = clamp((x w^T)*m[o] + b[o]), ternary weights, float32 activations"),
    Opcode(0x0B, "dense_i8", _operands(f"x:i w:c w_zero:C m:c c:c y:o {_DENSE} {_REQUANT}"),
           "y = requant(x (w - w_zero[o])^T), int8"),
    Opcode(0x0C, "dense_i8_t2", _operands(f"x:i w:c m:c c:c y:o {_DENSE} {_REQUANT}"),
           "y = requant(x w^T), ternary weights, int8 activations"),
    Opcode(0x0D, "dense_i8f", _operands(f"x:i w:c w_zero:C m:c b:c y:o {_DENSE} lo:f hi:f"),
           "y = clamp(float(x (w - w_zero[o])^T)*m[o] + b[o]), int8 in, float32 out"),
    Opcode(0x0E, "dense_i8f_t2", _operands(f"x:i w:c m:c b:c y:o {_DENSE} lo:f hi:f"),
           "y = clamp(float(x w^T)*m[o] + b[o]), ternary weights, int8 in, float32 out"),
    # Two activations: y[b0][b1][r][c] = sum_k a[b0*a_batch0 + b1*a_batch1 + r*a_row + k*a_inner]
    # * b[b0*b_batch0 + b1*b_batch1 + k*b_inner + c*b_col]; strides in elements; y is dense.
    Opcode(0x10, "matmul_f32", _operands(f"a:i b:i y:o {_MATMUL}"),
           "y = a b, strided, float32"),
    Opcode(0x11, "matmul_i8",
           _operands(f"a:i b:i y:o {_MATMUL} a_zero:j b_zero:j m:j c:j {_REQUANT}"),
           "y = requant((a - a_zero)(b - b_zero)), int8; m and c scalar"),
    # Elementwise. n-dimensional forms: dims d0..d5, element strides per tensor (0 broadcasts),
    # y dense in row-major order of the dims.
    Opcode(0x20, "binary_f32", _operands(f"a:i b:i y:o op:u {_ND_AB} lo:f hi:f"),
           "y = clamp(a op b); op: 0 add 1 sub 2 mul 3 div 4 min 5 max 6 pow 7 prelu(a, slope b)",
           aliases=(("a", "y"), ("b", "y"))),
    Opcode(0x21, "add_i8", _operands(f"a:i b:i y:o {_ND_AB} ma:j mb:j c:j {_REQUANT}"),
           "y = clamp((a*ma + b*mb + c) >> shift); the compiler proves int32 suffices",
           aliases=(("a", "y"), ("b", "y"))),
    Opcode(0x22, "mul_i8", _operands(f"a:i b:i y:o {_ND_AB} a_zero:j b_zero:j m:j c:j {_REQUANT}"),
           "y = requant((a - a_zero)*(b - b_zero)), scalar m and c",
           aliases=(("a", "y"), ("b", "y"))),
    Opcode(0x23, "div_i8",
           _operands(f"a:i b:i y:o {_ND_AB} a_zero:j b_zero:j m:j zero:j {_REQUANT}"),
           "y = clamp(floor(((a-a_zero)*m)/((b-b_zero) << shift) + 1/2) + zero); x/0: "
           "+-saturates, 0/0: zero",
           aliases=(("a", "y"), ("b", "y"))),
    Opcode(0x24, "affine_f32", _operands("x:i m:c b:c y:o outer:u channels:u inner:u lo:f hi:f"),
           "y[i][ch][j] = clamp(x[i][ch][j]*m[ch] + b[ch])", aliases=(("x", "y"),)),
    Opcode(0x25, "affine_i8", _operands(f"x:i m:c c:c y:o outer:u channels:u inner:u {_REQUANT}"),
           "y[i][ch][j] = requant(x[i][ch][j]) with m[ch] (may be negative), c[ch]",
           aliases=(("x", "y"),)),
    Opcode(0x26, "prelu_i8",
           _operands(f"x:i m:c y:o outer:u channels:u inner:u x_zero:j m_pos:j c:j {_REQUANT}"),
           "d = x - x_zero; y = requant(d) with multiplier d >= 0 ? m_pos : m[ch], scalar c",
           aliases=(("x", "y"),)),
    Opcode(0x27, "lut_i8", _operands("x:i table:c y:o count:u"),
           "y = table[(uint8_t)x], any one-byte types (every int8 unary function)",
           aliases=(("x", "y"),)),
    Opcode(0x28, "unary_f32", _operands("x:i y:o op:u count:u alpha:f beta:f"),
           "op: 0 clip(alpha, beta) 1 leaky_relu(alpha) 2 hard_sigmoid(alpha, beta) 3 hard_swish"
           " 4 abs 5 neg 6 floor 7 ceil 8 round (half to even) 9 sign 10 reciprocal",
           aliases=(("x", "y"),)),
    Opcode(0x29, "sigmoid_f32", _operands("x:i y:o count:u"), "y = 1/(1 + exp(-x))",
           aliases=(("x", "y"),)),
    Opcode(0x2A, "tanh_f32", _operands("x:i y:o count:u"), "y = tanh(x)", aliases=(("x", "y"),)),
    Opcode(0x2B, "exp_f32", _operands("x:i y:o count:u"), "y = exp(x)", aliases=(("x", "y"),)),
    Opcode(0x2C, "log_f32", _operands("x:i y:o count:u"), "y = log(x)", aliases=(("x", "y"),)),
    Opcode(0x2D, "sqrt_f32", _operands("x:i y:o count:u"), "y = sqrt(x), correctly rounded",
           aliases=(("x", "y"),)),
    Opcode(0x2E, "erf_f32", _operands("x:i y:o count:u"), "y = erf(x)", aliases=(("x", "y"),)),
    Opcode(0x2F, "gelu_f32", _operands("x:i y:o count:u tanh:u"),
           "y = gelu(x), exact (erf) or, with tanh = 1, the tanh approximation",
           aliases=(("x", "y"),)),
    # Number formats.
    Opcode(0x30, "quantize_i8", _operands("x:i y:o count:u scale:f zero:j lo:j hi:j"),
           "y = clamp(round_half_even(x / scale) + zero, lo, hi); NaN gives zero; y int8 or "
           "uint8"),
    Opcode(0x31, "dequantize_i8", _operands("x:i y:o count:u scale:f zero:j"),
           "y = (x - zero)*scale; x int8 or uint8"),
    Opcode(0x32, "cast", _operands("x:i y:o count:u"),
           "element type conversion as in ONNX Cast, int64 held as int32: integers wrap, a float "
           "out of"
           " range saturates, NaN gives 0 (bool: true)"),
    # Reductions and windows. Images NHWC.
    Opcode(0x38, "maxpool_f32", _operands(f"x:i y:o {_POOL}"),
           "maximum over the window, padding never wins; of an empty window the lowest finite "
           "number", walk=Walk.PIXELS),
    Opcode(0x39, "maxpool_i8", _operands(f"x:i y:o {_POOL}"),
           "maximum over the window, padding never wins; of an empty window the lowest finite "
           "number", walk=Walk.PIXELS),
    Opcode(0x3A, "avgpool_f32",
           _operands(f"x:i y:o {_POOL} pad_bottom:j pad_right:j include_pad:u"),
           "mean over the window; include_pad counts padding within the padded image; empty: 0",
           walk=Walk.PIXELS),
    Opcode(0x3B, "avgpool_i8",
           _operands(f"x:i m:c y:o {_POOL} pad_bottom:j pad_right:j include_pad:u x_zero:j "
                     f"m_count:u c:j {_REQUANT}"),
           "y = requant(sum(x - x_zero)) with multiplier m[m_count == 1 ? 0 : divisor - 1], "
           "scalar c", walk=Walk.PIXELS),
    Opcode(0x3C, "softmax_f32", _operands(f"x:i y:o {_AXIS} log:u"),
           "softmax (log: log-softmax) over the middle axis", aliases=(("x", "y"),)),
    Opcode(0x3D, "softmax_i8", _operands(f"x:i table:c y:o {_AXIS} multiplier:u zero:j lo:j hi:j"),
           "t = table[max - x] (uint32, table[0] > 0);"
           " y = clamp(floor((t*multiplier + sum(t)*2^15) / (sum(t)*2^16)) + zero)",
           aliases=(("x", "y"),)),
    Opcode(0x3E, "layernorm_f32", _operands("x:i gamma:C beta:C y:o outer:u n:u epsilon:f"),
           "y = (x - mean)/sqrt(var + epsilon)*gamma + beta over the last axis",
           aliases=(("x", "y"),)),
    Opcode(0x3F, "layernorm_i8",
           _operands(f"x:i m:c c:c y:o outer:u n:u epsilon_lo:u epsilon_hi:u {_REQUANT}"),
           "v = n*sum(x^2) - sum(x)^2 + epsilon; a = floor((n*x - sum(x))*2^12/sqrt(v)) to "
           "within 1:"
           " ((n*x - sum(x))*floor(2^63/isqrt(v*4^k))) >> (51 - k), k making v*4^k >= 2^62 (v = "
           "0: a = 0);"
           " y = requant(a) with m[i], c[i]; n <= 4096, epsilon < 2^62", aliases=(("x", "y"),)),
    Opcode(0x40, "argmax_f32", _operands(f"x:i y:o {_AXIS} select_last:u minimum:u"),
           "index (int32) of the maximum (minimum) over the middle axis"),
    Opcode(0x41, "argmax_i8", _operands(f"x:i y:o {_AXIS} select_last:u minimum:u"),
           "index (int32) of the maximum (minimum) over the middle axis"),
    # Data movement, by element size (1, 2 or 4 bytes).
    Opcode(0x48, "copy_nd", _operands(f"x:i y:o size:u x_offset:u y_offset:u {_ND2}"),
           "y[y_offset + i.ys] = x[x_offset + i.xs] for every index i below the dims (in "
           "elements):"
           " Transpose, Slice, Concat, Split, Expand, Pad; x and y disjoint, no more indices "
           "than y has elements"),
    Opcode(0x49, "fill", _operands("y:o size:u value:u count:u"),
           "every element of y = value's low bytes"),
    Opcode(0x4A, "gather",
           _operands("x:i indices:i y:o size:u outer:u axis:u inner:u n_indices:u"),
           "y[o][k][j] = x[o][indices[k]][j]; int32 indices, negative count from the end, then "
           "clamped"),
    # Selection.
    Opcode(0x58, "compare", _operands(f"a:i b:i y:o table:u {_ND_AB}"),
           "y (bool) = whether table has the bit of the outcome: 0 a < b, 1 a = b, 2 a > b, none "
           "of NaN; of bool operands bit 2a + b; a and b of one type",
           aliases=(("a", "y"), ("b", "y"))),
    Opcode(0x59, "where", _operands(f"condition:i a:i b:i y:o size:u {_ND_AB}"),
           "y = condition ? a : b by element size; the condition is bool and dense as y",
           aliases=(("a", "y"), ("b", "y"))),
    Opcode(0x5A, "resample_f32",
           _operands("x:i first:c w:c y:o outer:u axis:u inner:u n:u taps:u"),
           "y[o][k][j] = sum_t w[k][t]*x[o][first[k] + t][j]; weights of 0 read nothing; first "
           "int32, clamped"),
    Opcode(0x5B, "scatter_f32", _operands("x:i indices:c u:i y:o op:u count:u n:u"),
           "y = x; then y[indices[k]] op= u[k] for k in order; op: 0 add 1 mul 2 min 3 max; "
           "indices out of range do nothing"),
    Opcode(0x5C, "topk", _operands(f"x:i y:o indices:o {_AXIS} k:u smallest:u"),
           "the k largest (smallest) values along the middle axis, first those, of equal ones the "
           "first; indices int32"),
    # Further elementwise functions.
    Opcode(0x50, "activation_f32", _operands("x:i y:o op:u count:u alpha:f beta:f"),
           "op: 0 elu(alpha)*beta 1 celu(alpha) 2 softplus 3 mish 4 x*sigmoid(alpha*x)",
           aliases=(("x", "y"),)),
    Opcode(0x51, "threshold_f32", _operands("x:i y:o op:u count:u alpha:f beta:f"),
           "op: 0 softsign 1 x > alpha ? x : 0 2 x < -alpha ? x + beta : x > alpha ? x - beta : 0",
           aliases=(("x", "y"),)),
    Opcode(0x52, "trigonometric_f32", _operands("x:i y:o op:u count:u"),
           "op: 0 sin 1 cos 2 tan", aliases=(("x", "y"),)),
    Opcode(0x53, "arc_f32", _operands("x:i y:o op:u count:u"),
           "op: 0 asin 1 acos 2 atan", aliases=(("x", "y"),)),
    Opcode(0x54, "hyperbolic_f32", _operands("x:i y:o op:u count:u"),
           "op: 0 sinh 1 cosh 2 asinh 3 acosh 4 atanh", aliases=(("x", "y"),)),
    Opcode(0x55, "reduce_f32", _operands(f"x:i y:o {_AXIS} op:u"),
           "over the middle axis, n > 0; op: 0 sum 1 product 2 sum of |x| 3 sum of x^2 4 minimum"),
    Opcode(0x56, "cumsum", _operands(f"x:i y:o {_AXIS} exclusive:u reverse:u"),
           "running sums along the middle axis, float32 or int32 (which wraps)",
           aliases=(("x", "y"),)),
    Opcode(0x57, "extremum", _operands(f"a:i b:i y:o {_ND_AB} minimum:u"),
           "y = minimum = 1 ? min(a, b) : max(a, b); all int8, uint8, int16 or int32",
           aliases=(("a", "y"), ("b", "y"))),
    # Recurrent layers, weights [directions][gate][hidden][columns] in ONNX's gate order. x is
    # [steps][batch][in], y [steps][batch][directions][hidden], states [batch][directions][hidden];
    # of two directions the second runs backwards, one does when reverse = 1. Absent initial states
    # are 0, biases one per row. In integers: states are int16, h with 15 fraction bits; a gate is
    # g = (w.x*m_w[row] + r.h*m_r[row] + (c[row] << 16)) >> (16 + shift), with 16 fraction bits,
    # through ternc_sigmoid_q15 or ternc_tanh_q15; y = requant(h) with out_m, out_c, out_shift.
    # Ternary weights: g = (w.x*m_w[row] + ((r.h'*m_r[row]) >> 16) + c[row]) >> shift with h' = h
    # in units of 1/8191, (h*8191 + 2^14) >> 15.
    Opcode(0x60, "lstm_f32", _operands(f"{_FLOATS} {_CELLS}"),
           "LSTM, gates i, o, f, c, all float32"),
    Opcode(0x61, "lstm_f32_w8", _operands(f"{_SCALED} {_CELLS}"),
           "LSTM with w*m_w[row], r*m_r[row], int8 weights, float32 activations"),
    Opcode(0x62, "lstm_f32_t2", _operands(f"{_SCALED} {_CELLS}"),
           "LSTM with w*m_w[row], r*m_r[row], ternary weights, float32 activations"),
    Opcode(0x63, "gru_f32", _operands(f"{_FLOATS} {_STATES} linear_before_reset:u"),
           "GRU, gates z, r, n, bias [z, r, n of x, n of h], all float32"),
    Opcode(0x64, "gru_f32_w8", _operands(f"{_SCALED} {_STATES} linear_before_reset:u"),
           "GRU with w*m_w[row], r*m_r[row], int8 weights, float32 activations"),
    Opcode(0x65, "gru_f32_t2", _operands(f"{_SCALED} {_STATES} linear_before_reset:u"),
           "GRU with w*m_w[row], r*m_r[row], ternary weights, float32 activations"),
    Opcode(0x66, "rnn_f32", _operands(f"{_FLOATS} {_STATES} relu:u"),
           "RNN, one gate; relu: max(0, .) for tanh, all float32"),
    Opcode(0x67, "rnn_f32_w8", _operands(f"{_SCALED} {_STATES} relu:u"),
           "RNN with w*m_w[row], r*m_r[row], int8 weights, float32 activations"),
    Opcode(0x68, "rnn_f32_t2", _operands(f"{_SCALED} {_STATES} relu:u"),
           "RNN with w*m_w[row], r*m_r[row], ternary weights, float32 activations"),
    Opcode(0x69, "lstm_i8", _operands(f"{_INTEGERS} {_CELLS} {_OUT} cell_bits:u"),
           "LSTM in integers, int8 weights, int8 x and y; cells carry cell_bits fraction bits"),
    Opcode(0x6A, "lstm_i8_t2", _operands(f"{_INTEGERS} {_CELLS} {_OUT} cell_bits:u"),
           "LSTM in integers, ternary weights, int8 x and y; cells carry cell_bits fraction bits",
           revision=2),
    Opcode(0x6B, "gru_i8", _operands(f"{_INTEGERS} {_STATES} {_OUT} linear_before_reset:u"),
           "GRU in integers, int8 weights, int8 x and y, c [z, r, n of x, n of h]"),
    Opcode(0x6C, "gru_i8_t2", _operands(f"{_INTEGERS} {_STATES} {_OUT} linear_before_reset:u"),
           "GRU in integers, ternary weights, int8 x and y, c [z, r, n of x, n of h]",
           revision=2),
    Opcode(0x6D, "rnn_i8", _operands(f"{_INTEGERS} {_STATES} {_OUT}"),
           "RNN in integers, int8 weights, int8 x and y"),
    Opcode(0x6E, "rnn_i8_t2", _operands(f"{_INTEGERS} {_STATES} {_OUT}"),
           "RNN in integers, ternary weights, int8 x and y",
           revision=2),
    Opcode(0x6F, "rescale", _operands(f"x:i y:o count:u m:j c:j {_REQUANT}"),
           "y = requant(x) with scalar m and c; x and y int8 or int16"),
    # Dynamic int8: the scale is found at run time. The layer between the two is conv2d_i8f or
    # dense_i8f with zero points 0, its offsets 0 and no clamp.
    Opcode(0x70, "absmax_i8",
           _operands("x:i y:o r:o rows:u n:u epsilon:f levels:f lo:j hi:j form:u"),
           "for each row of n: a = max(max|x|, epsilon); y = clamp(round_half_even(x*s), lo, "
           "hi), r = 1/s"
           " with form 0 s = (1/a)*levels, 1 s = levels/a; or round(x/d), r = d with 2 d = "
           "a/levels,"
           " 3 d = a*levels; NaN gives 0"),
    Opcode(0x71, "scale_rows_f32", _operands("x:i r:i b:C y:o rows:u n:u channels:u lo:f hi:f"),
           "y[i][j] = clamp(x[i][j]*r[i] + b[j mod channels]); channels divides n",
           aliases=(("x", "y"),)),
    # Fast forms of multiply-accumulate layers: the same bytes as 0x04, 0x05, 0x0b and 0x0c
    # wherever |floor(acc*m / 2^16) + c| < 2^31, which the compiler proves; m even and not
    # negative.
    Opcode(0x80, "dense_i8_t2_lut",
           _operands(f"x:i w:c m:c c:c y:o scratch:s {_DENSE} block:u slab:u {_REQUANT}"),
           "y = requant(x w^T); w [out/slab][tile][slab][block]: a byte selects a sum of 4"
           " activations"),
    Opcode(0x81, "conv2d_i8_t2_lut",
           _operands(f"x:i w:c m:c c:c y:o scratch:s {_CONV} group:u columns:u rows:u parts:u "
                     f"chunk:u held:u x_zero:j {_REQUANT} {_RESIDUAL}"),
           "y = requant(conv(x, w)), groups 1, up 1; w [part][taps/chunk][out][chunk][group]: a "
           "byte (of 3: 5 bits) selects a sum of `group` channels; residual as in "
           "conv2d_i8_blocked",
           aliases=(("x", "y"), ("r", "y")), revision=2),  # x: pixels of one row only
    Opcode(0x82, "dense_i8_blocked", _operands(f"x:i w:c m:c c:c y:o {_DENSE} {_REQUANT}"),
           "y = requant(x w^T), int8; w [ceil(out/4)][in][4]"),
    Opcode(0x83, "conv2d_i8_blocked",
           _operands(f"x:i w:c m:c c:c y:o scratch:s {_CONV} x_zero:j {_REQUANT} {_RESIDUAL}"),
           "y = requant(conv(x, w)), int8, groups 1, up 1; w [ceil(out/4)][tap][in][4]; with a"
           " residual r then y = clamp((y*y_m + r*r_m + sum_c) >> sum_shift, sum_lo, sum_hi)",
           aliases=(("x", "y"), ("r", "y")), walk=Walk.PAIRS),  # x: pointwise only
    Opcode(0xA8, "conv2d_i8_tiles",
           _operands(f"x:i w:c m:c c:c y:o scratch:s {_CONV} x_zero:j {_REQUANT} {_RESIDUAL}"),
           "y = requant(conv(x, w)), int8, kernel 3x3, stride 1, dilation 1, groups 1, up 1, in_c "
           "at most 1024; w int16 [ceil(out/4)][16][in][4]: 4 G w G^T of Winograd's F(2x2, 3x3); "
           "residual as in conv2d_i8_blocked", aliases=(("r", "y"),)),
    Opcode(0x84, "conv2d_i8_depthwise",
           _operands(f"x:i w:c m:c c:c y:o scratch:s {_CONV} x_zero:j {_REQUANT}"),
           "y = requant(conv(x, w)), int8, groups in_c, up 1", aliases=(("x", "y"),),
           walk=Walk.CHANNELS),
    Opcode(0x85, "conv2d_i8_t2_taps",
           _operands(f"x:i w:c m:c c:c y:o scratch:s {_CONV} x_zero:j {_REQUANT}"),
           "y = requant(conv(x, w)), groups in_c, up 1; w as in conv2d_i8_t2",
           aliases=(("x", "y"),), walk=Walk.CHANNELS),
    Opcode(0xA0, "conv2d_i8_t2_lists",
           _operands(f"x:i w:c m:c c:c y:o scratch:s {_CONV} lines:u x_zero:j {_REQUANT}"),
           "y = requant(conv(x, w)), groups in_c, up 1; w for each output a count and so many"
           " bytes kind*taps + tap", aliases=(("x", "y"),), revision=2),
    # int16 activations with zero point 0; y is int16, or int8 where an int8 layer reads it. Sums
    # are exact in 64 bits, and the compiler proves |acc*m| < 2^62.
    Opcode(0x90, "conv2d_i16", _operands(f"x:i w:c w_zero:C m:c c:c y:o {_CONV} {_REQUANT}"),
           "y = requant(conv(x, w - w_zero[o])), int8 weights, int16 x", walk=Walk.PIXELS),
    Opcode(0x91, "conv2d_i16_t2", _operands(f"x:i w:c m:c c:c y:o {_CONV} {_REQUANT}"),
           "y = requant(conv(x, w)), ternary weights, int16 x", walk=Walk.PIXELS),
    Opcode(0x92, "dense_i16", _operands(f"x:i w:c w_zero:C m:c c:c y:o {_DENSE} {_REQUANT}"),
           "y = requant(x (w - w_zero[o])^T), int16 x; w int8, or t2 when it is uint8"),
    Opcode(0x93, "matmul_i16", _operands(f"a:i b:i y:o {_MATMUL} m:j c:j {_REQUANT}"),
           "y = requant(a b), int16; m and c scalar"),
    Opcode(0x94, "add_i16", _operands(f"a:i b:i y:o {_ND_AB} ma:j mb:j c:j {_REQUANT}"),
           "y = clamp((a*ma + b*mb + (c << 16)) >> (16 + shift), lo, hi), int16",
           aliases=(("a", "y"), ("b", "y"))),
    Opcode(0x95, "mul_i16", _operands(f"a:i b:i y:o {_ND_AB} m:j c:j {_REQUANT}"),
           "y = requant(a*b), int16, scalar m and c", aliases=(("a", "y"), ("b", "y"))),
    Opcode(0x96, "div_i16", _operands(f"a:i b:i y:o {_ND_AB} m:j zero:j {_REQUANT}"),
           "y = clamp(floor((a*m)/(b << shift) + 1/2) + zero), int16; x/0: +-saturates, 0/0: zero",
           aliases=(("a", "y"), ("b", "y"))),
    Opcode(0x97, "affine_i16",
           _operands(f"x:i m:c n:C c:c y:o outer:u channels:u inner:u {_REQUANT}"),
           "y[i][ch][j] = requant(x[i][ch][j]) with m[ch], or n[ch] if that is there and x < 0, "
           "and c[ch]", aliases=(("x", "y"),)),
    Opcode(0x98, "table_i16", _operands("x:i segments:c nodes:c y:o count:u"),
           "u = x + 2^15; segments[u >> 10] = first << 4 | step; y = (interpolated >> 4 with "
           "rounding) between nodes[first + ((u & 1023) >> step)] and the next, which have 4 "
           "fraction bits", aliases=(("x", "y"),)),
    Opcode(0x99, "maxpool_i16", _operands(f"x:i y:o {_POOL}"),
           "maximum over the window, padding never wins; of an empty window the lowest number",
           walk=Walk.PIXELS),
    Opcode(0x9A, "convert_i16", _operands("x:i y:o count:u scale:f lo:j hi:j"),
           "x float32: y = clamp(round_half_even(x / scale), lo, hi), int16, NaN gives 0; or x "
           "int16: y = x*scale, float32"),
    Opcode(0x9B, "avgpool_i16",
           _operands(f"x:i m:c y:o {_POOL} pad_bottom:j pad_right:j include_pad:u m_count:u c:j "
                     f"{_REQUANT}"),
           "y = requant(sum(x)) with multiplier m[m_count == 1 ? 0 : divisor - 1], scalar c; at "
           "most 2^16 taps", walk=Walk.PIXELS),
    Opcode(0x9C, "softmax_i16",
           _operands(f"x:i table:c y:o {_AXIS} multiplier:u zero:j lo:j hi:j"),
           "d = max - x; t = (table[d >> 8] * table[256 + (d & 255)]) >> 32 (uint32);"
           " y = clamp(floor((t*multiplier + sum(t)*2^15) / (sum(t)*2^16)) + zero); n <= 2^16",
           aliases=(("x", "y"),)),
    Opcode(0x9D, "layernorm_i16",
           _operands(f"x:i m:c c:c y:o outer:u n:u epsilon_lo:u epsilon_hi:u {_REQUANT}"),
           "as layernorm_i8, int16, with 2^20 for 2^12 and 43 for 51", aliases=(("x", "y"),)),
    Opcode(0x9E, "argmax_i16", _operands(f"x:i y:o {_AXIS} select_last:u minimum:u"),
           "index (int32) of the maximum (minimum) over the middle axis"),
    # Recurrent layers with int16 x; y is int16, or int8 where an int8 layer reads it. As the int8
    # ones with int8 weights, but for the gates, which go through ternc_sigmoid_i16 and
    # ternc_tanh_i16, and for c of an LSTM and h of a GRU, which carry 16 more fraction bits
    # from step to step.
    Opcode(0xC0, "lstm_i16", _operands(f"{_INTEGERS} {_CELLS} {_OUT} cell_bits:u"),
           "LSTM in integers, int8 weights, int16 x; cells carry cell_bits fraction bits"),
    Opcode(0xC1, "lstm_i16_t2", _operands(f"{_INTEGERS} {_CELLS} {_OUT} cell_bits:u"),
           "LSTM in integers, ternary weights, int16 x; cells carry cell_bits fraction bits"),
    Opcode(0xC2, "gru_i16", _operands(f"{_INTEGERS} {_STATES} {_OUT} linear_before_reset:u"),
           "GRU in integers, int8 weights, int16 x, c [z, r, n of x, n of h]"),
    Opcode(0xC3, "gru_i16_t2", _operands(f"{_INTEGERS} {_STATES} {_OUT} linear_before_reset:u"),
           "GRU in integers, ternary weights, int16 x, c [z, r, n of x, n of h]"),
    Opcode(0xC4, "rnn_i16", _operands(f"{_INTEGERS} {_STATES} {_OUT}"),
           "RNN in integers, int8 weights, int16 x"),
    Opcode(0xC5, "rnn_i16_t2", _operands(f"{_INTEGERS} {_STATES} {_OUT}"),
           "RNN in integers, ternary weights, int16 x"),
    # Recurrent layers as with int8 weights, whose rows are int8 or ternary each. w and r: for
    # every 16 rows 2 bytes with a bit for each, 1 for ternary, and 2 with how many ternary rows
    # come before; then the rows, those of ternary codes from a byte boundary on.
    Opcode(0xC8, "lstm_i8_mixed", _operands(f"{_INTEGERS} {_CELLS} {_OUT} cell_bits:u"),
           "lstm_i8; rows of w and r are int8 or ternary"),
    Opcode(0xC9, "gru_i8_mixed", _operands(f"{_INTEGERS} {_STATES} {_OUT} linear_before_reset:u"),
           "gru_i8; rows of w and r are int8 or ternary"),
    Opcode(0xCA, "rnn_i8_mixed", _operands(f"{_INTEGERS} {_STATES} {_OUT}"),
           "rnn_i8; rows of w and r are int8 or ternary"),
    Opcode(0xCB, "lstm_i16_mixed", _operands(f"{_INTEGERS} {_CELLS} {_OUT} cell_bits:u"),
           "lstm_i16; rows of w and r are int8 or ternary"),
    Opcode(0xCC, "gru_i16_mixed", _operands(f"{_INTEGERS} {_STATES} {_OUT} linear_before_reset:u"),
           "gru_i16; rows of w and r are int8 or ternary"),
    Opcode(0xCD, "rnn_i16_mixed", _operands(f"{_INTEGERS} {_STATES} {_OUT}"),
           "rnn_i16; rows of w and r are int8 or ternary"),
    # Recurrent layers by look-up: the bytes of 0x6a, 0x6c and 0x6e. w [directions][gate]
    # [ceil(hidden/4)][table][4], x's tables and then h's, an even number of either; k
    # [directions], for each gate and block of four rows 4 m_w, 4 m_r << (16 - h_shift) and 4 c;
    # then what h adds to n.
    Opcode(0xB0, "lstm_i8_t2_lut",
           _operands(f"{_LOOKED_UP} {_CELLS} {_OUT} h_shift:u cell_bits:u"),
           "lstm_i8_t2; w: a byte selects a sum of 4 inputs or states"),
    Opcode(0xB1, "gru_i8_t2_lut",
           _operands(f"{_LOOKED_UP} {_STATES} {_OUT} h_shift:u linear_before_reset:u"),
           "gru_i8_t2; w: a byte selects a sum of 4 inputs or states"),
    Opcode(0xB2, "rnn_i8_t2_lut", _operands(f"{_LOOKED_UP} {_STATES} {_OUT} h_shift:u"),
           "rnn_i8_t2; w: a byte selects a sum of 4 inputs or states"),
    # The same with int8 weights, the bytes of 0x69, 0x6b and 0x6d with 2^16 m_w for m_w: w
    # [directions][gate][ceil(hidden/8)][inputs, then states][8]; k as above, by blocks of eight.
    Opcode(0xB8, "lstm_i8_blocked",
           _operands(f"{_LOOKED_UP} {_CELLS} {_OUT} h_shift:u cell_bits:u"),
           "lstm_i8, int8 weights in blocks of eight rows"),
    Opcode(0xB9, "gru_i8_blocked",
           _operands(f"{_LOOKED_UP} {_STATES} {_OUT} h_shift:u linear_before_reset:u"),
           "gru_i8, int8 weights in blocks of eight rows"),
    Opcode(0xBA, "rnn_i8_blocked", _operands(f"{_LOOKED_UP} {_STATES} {_OUT} h_shift:u"),
           "rnn_i8, int8 weights in blocks of eight rows"),
    Opcode(0xB3, "dense_i8_t2_lut5",
           _operands(f"x:i w:c m:c c:c y:o scratch:s {_DENSE} slab:u {_REQUANT}"),
           "as dense_i8_t2_lut; w [out/slab][tile][slab][8]: a byte selects a sum of 5 "
           "activations"),
    Opcode(0xB4, "dense_i8_t2_lut_short",
           _operands(f"x:i w:c k:c y:o scratch:s {_DENSE} block:u slab:u c_shift:u {_REQUANT}"),
           "as dense_i8_t2_lut; k int16 [out][2]: m = k[o][0] as uint16, e = m & 3, c = k[o][1];"
           " y = clamp((acc*m + (c << c_shift)) >> (shift + e), lo, hi), c_shift 4 to 16, shift 1"
           " to 28"),
    Opcode(0xB5, "dense_i8_t2_lut5_short",
           _operands(f"x:i w:c k:c y:o scratch:s {_DENSE} slab:u c_shift:u {_REQUANT}"),
           "dense_i8_t2_lut5 with the constants of dense_i8_t2_lut_short"),
)

# Instructions of one model (-O speed): the blob numbers them from NATIVE on, their revision is a
# hash of the code that the generated header carries. These are their operands.
NATIVE = 0x8000
NATIVE_OPCODES: tuple[Opcode, ...] = (
    Opcode(NATIVE, "conv2d_i8_lines", _operands(
        f"x:i m:c c:c y:o image:s {_IMAGE} {_WINDOW} x_zero:j strip:u chunks:u {_REQUANT}"),
        "y = requant(conv(x, w)) with w in generated straight-line code; c holds c - m/2",
        aliases=(("x", "y"),)),  # where one strip holds the whole image
)

BY_NAME: dict[str, Opcode] = {opcode.name: opcode for opcode in (*OPCODES, *NATIVE_OPCODES)}
BY_CODE: dict[int, Opcode] = {opcode.code: opcode for opcode in OPCODES}
