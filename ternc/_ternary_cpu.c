/* Deployed ternary layers on this machine: y = (x . W') * scale + bias, with W packed two bits to
 * a weight as ternc.quantize.pack_ternary does, each row beginning on a byte.
 *
 * The portable form and the AVX2 form add in different orders, so they agree to rounding only. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <string.h>

#if defined(__GNUC__) && (defined(__x86_64__) || defined(__i386__))
#define TERNC_AVX2
#include <immintrin.h>
#endif

/* Samples that one pass over a row serves. */
#define SAMPLES 4

/* One row times `count` samples, at most SAMPLES; sample i begins at x + i * columns. */
typedef void (*row_fn)(const uint8_t *row, const float *x, size_t columns, int count, float *sums);

/* The weight of each code; 11 does not occur in what pack_ternary writes. */
static const float VALUE[4] = {0.0f, 1.0f, -1.0f, 0.0f};

static float tail(const uint8_t *row, const float *x, size_t from, size_t columns) {
  float sum = 0.0f;
  size_t i;
  for (i = from; i < columns; i++) sum += VALUE[(row[i / 4] >> (6 - 2 * (i % 4))) & 3] * x[i];
  return sum;
}

static void row_portable(const uint8_t *row, const float *x, size_t columns, int count,
                         float *sums) {
  const size_t whole = columns / 4;
  int sample;
  for (sample = 0; sample < count; sample++, x += columns) {
    float sum0 = 0.0f, sum1 = 0.0f, sum2 = 0.0f, sum3 = 0.0f;
    size_t i;
    for (i = 0; i < whole; i++) {
      const unsigned codes = row[i];
      sum0 += VALUE[codes >> 6] * x[4 * i];
      sum1 += VALUE[(codes >> 4) & 3] * x[4 * i + 1];
      sum2 += VALUE[(codes >> 2) & 3] * x[4 * i + 2];
      sum3 += VALUE[codes & 3] * x[4 * i + 3];
    }
    sums[sample] = (sum0 + sum1) + (sum2 + sum3) + tail(row, x, 4 * whole, columns);
  }
}

#ifdef TERNC_AVX2
#define AVX2 __attribute__((target("avx2,fma")))
/* at -O2 a loop over an array of registers would put them into memory */
#define UNROLL _Pragma("GCC unroll 4")

AVX2 static float add_lanes(__m256 v) {
  __m128 sum = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  sum = _mm_add_ps(sum, _mm_movehl_ps(sum, sum));
  return _mm_cvtss_f32(_mm_add_ss(sum, _mm_movehdup_ps(sum)));
}

/* Sixteen weights from four bytes: the word goes to all lanes, each lane shifts its code down to
 * bits 0 and 1, and vpermilps, which reads just these, looks the weight up. */
AVX2 static inline void row_some(const uint8_t *row, const float *x, size_t columns, int count,
                                 float *sums) {
  const __m256i first = _mm256_setr_epi32(6, 4, 2, 0, 14, 12, 10, 8);
  const __m256i second = _mm256_setr_epi32(22, 20, 18, 16, 30, 28, 26, 24);
  const __m256 table = _mm256_setr_ps(0, 1, -1, 0, 0, 1, -1, 0);
  const size_t whole = columns & ~(size_t)15;
  __m256 low[SAMPLES], high[SAMPLES];
  size_t i;
  int sample;
  UNROLL
  for (sample = 0; sample < count; sample++) low[sample] = high[sample] = _mm256_setzero_ps();
  for (i = 0; i < whole; i += 16) {
    int32_t word;
    __m256i codes;
    __m256 w0, w1;
    memcpy(&word, row + i / 4, 4);
    codes = _mm256_set1_epi32(word);
    w0 = _mm256_permutevar_ps(table, _mm256_srlv_epi32(codes, first));
    w1 = _mm256_permutevar_ps(table, _mm256_srlv_epi32(codes, second));
    UNROLL
    for (sample = 0; sample < count; sample++) {
      const float *at = x + (size_t)sample * columns + i;
      low[sample] = _mm256_fmadd_ps(w0, _mm256_loadu_ps(at), low[sample]);
      high[sample] = _mm256_fmadd_ps(w1, _mm256_loadu_ps(at + 8), high[sample]);
    }
  }
  UNROLL
  for (sample = 0; sample < count; sample++) {
    sums[sample] = add_lanes(_mm256_add_ps(low[sample], high[sample])) +
                   tail(row, x + (size_t)sample * columns, whole, columns);
  }
}

/* A constant count lets the compiler keep the accumulators in registers. */
AVX2 static void row_avx2(const uint8_t *row, const float *x, size_t columns, int count,
                          float *sums) {
  switch (count) {
    case 1: row_some(row, x, columns, 1, sums); break;
    case 2: row_some(row, x, columns, 2, sums); break;
    case 3: row_some(row, x, columns, 3, sums); break;
    default: row_some(row, x, columns, SAMPLES, sums); break;
  }
}
#endif

static int has_avx2(void) {
#ifdef TERNC_AVX2
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#else
  return 0;
#endif
}

/* What both functions take: buffers, and the rows to work on. */
enum { PACKED, SCALE, OUTPUT, INPUT, BIAS, ARRAYS };

typedef struct {
  Py_buffer views[ARRAYS];
  Py_ssize_t columns, begin, end;
  Py_ssize_t pitch, rows; /* bytes of a row, and how many there are */
} task;

static void release(task *t) {
  int i;
  for (i = 0; i < ARRAYS; i++) {
    if (t->views[i].obj != NULL) PyBuffer_Release(&t->views[i]);
  }
}

static int fail(task *t, const char *message) {
  PyErr_SetString(PyExc_ValueError, message);
  release(t);
  return -1;
}

/* Takes hold of the buffers; a NULL or None object has none. */
static int hold(task *t, PyObject *const *objects) {
  int i;
  memset(t->views, 0, sizeof t->views);
  for (i = 0; i < ARRAYS; i++) {
    if (objects[i] == NULL || objects[i] == Py_None) continue;
    if (PyObject_GetBuffer(objects[i], &t->views[i],
                           i == OUTPUT ? PyBUF_CONTIG : PyBUF_CONTIG_RO) != 0) {
      t->views[i].obj = NULL;
      release(t);
      return -1;
    }
    if (i != PACKED && t->views[i].itemsize != (Py_ssize_t)sizeof(float)) {
      return fail(t, "an array is not float32");
    }
    if (i == PACKED && t->views[i].itemsize != 1) return fail(t, "the codes are not uint8");
  }
  if (t->columns <= 0) return fail(t, "there are no columns");
  t->pitch = (t->columns - 1) / 4 + 1;
  t->rows = t->views[PACKED].len / t->pitch;
  if (t->views[PACKED].len != t->rows * t->pitch || t->begin < 0 || t->begin > t->end ||
      t->end > t->rows || (t->views[SCALE].len != 4 && t->views[SCALE].len != 4 * t->rows)) {
    return fail(t, "the sizes do not fit together");
  }
  return 0;
}

static float scale_of(const task *t, Py_ssize_t row) {
  const float *scale = t->views[SCALE].buf;
  return t->views[SCALE].len == 4 ? scale[0] : scale[row];
}

static PyObject *linear_with(row_fn row, PyObject *args) {
  PyObject *objects[ARRAYS];
  task t;
  Py_ssize_t samples;
  if (!PyArg_ParseTuple(args, "OOOOOnnn", &objects[PACKED], &objects[INPUT], &objects[SCALE],
                        &objects[BIAS], &objects[OUTPUT], &t.columns, &t.begin, &t.end) ||
      hold(&t, objects) != 0) {
    return NULL;
  }
  samples = t.views[INPUT].len / 4 / t.columns;
  if (t.views[INPUT].len / 4 != samples * t.columns ||
      (t.views[BIAS].obj != NULL && t.views[BIAS].len != 4 * t.rows) ||
      (t.rows != 0 && (t.views[OUTPUT].len / 4 % t.rows != 0 ||
                       t.views[OUTPUT].len / 4 / t.rows != samples))) {
    fail(&t, "the sizes do not fit together");
    return NULL;
  }
  {
    const uint8_t *packed = t.views[PACKED].buf;
    const float *x = t.views[INPUT].buf, *bias = t.views[BIAS].buf;
    float *out = t.views[OUTPUT].buf;
    Py_ssize_t r, first;
    int i;
    Py_BEGIN_ALLOW_THREADS;
    for (first = 0; first < samples; first += SAMPLES) {
      const int count = (int)(samples - first < SAMPLES ? samples - first : SAMPLES);
      for (r = t.begin; r < t.end; r++) {
        float sums[SAMPLES];
        row(packed + r * t.pitch, x + first * t.columns, (size_t)t.columns, count, sums);
        for (i = 0; i < count; i++) {
          const float y = sums[i] * scale_of(&t, r);
          out[(first + i) * t.rows + r] = bias != NULL ? y + bias[r] : y;
        }
      }
    }
    Py_END_ALLOW_THREADS;
  }
  release(&t);
  return Py_NewRef(Py_None);
}

static void unpack_row(const uint8_t *codes, const float values[256][4], float scale, float *out,
                       size_t columns) {
  const size_t whole = columns / 4;
  size_t i, k;
  for (i = 0; i < whole; i++) {
    for (k = 0; k < 4; k++) out[4 * i + k] = values[codes[i]][k] * scale;
  }
  for (k = 0; 4 * whole + k < columns; k++) out[4 * whole + k] = values[codes[whole]][k] * scale;
}

static PyObject *unpack(PyObject *module, PyObject *args) {
  PyObject *objects[ARRAYS] = {NULL};
  task t;
  (void)module;
  if (!PyArg_ParseTuple(args, "OOOnnn", &objects[PACKED], &objects[SCALE], &objects[OUTPUT],
                        &t.columns, &t.begin, &t.end) ||
      hold(&t, objects) != 0) {
    return NULL;
  }
  if (t.columns > PY_SSIZE_T_MAX / 16 ||
      t.views[OUTPUT].len / 4 / t.columns != t.end - t.begin ||
      t.views[OUTPUT].len / 4 % t.columns != 0) {
    fail(&t, "the sizes do not fit together");
    return NULL;
  }
  {
    const uint8_t *packed = t.views[PACKED].buf;
    float *out = t.views[OUTPUT].buf;
    float values[256][4]; /* the four weights of every byte */
    Py_ssize_t r;
    int byte, k;
    Py_BEGIN_ALLOW_THREADS;
    for (byte = 0; byte < 256; byte++) {
      for (k = 0; k < 4; k++) values[byte][k] = VALUE[(byte >> (6 - 2 * k)) & 3];
    }
    for (r = t.begin; r < t.end; r++) {
      unpack_row(packed + r * t.pitch, (const float(*)[4])values, scale_of(&t, r),
                 out + (r - t.begin) * t.columns, (size_t)t.columns);
    }
    Py_END_ALLOW_THREADS;
  }
  release(&t);
  return Py_NewRef(Py_None);
}

static PyObject *linear(PyObject *module, PyObject *args) {
  (void)module;
#ifdef TERNC_AVX2
  if (has_avx2()) return linear_with(row_avx2, args);
#endif
  return linear_with(row_portable, args);
}

static PyObject *linear_portable(PyObject *module, PyObject *args) {
  (void)module;
  return linear_with(row_portable, args);
}

static PyMethodDef methods[] = {
    {"linear", linear, METH_VARARGS,
     "linear(packed, x, scale, bias, out, columns, begin, end)\n--\n\n"
     "Fills outputs begin to end of every sample, in the fastest form that this CPU has."},
    {"unpack", unpack, METH_VARARGS,
     "unpack(packed, scale, out, columns, begin, end)\n--\n\n"
     "Fills out with the weights of rows begin to end."},
    {"linear_portable", linear_portable, METH_VARARGS, "The same in portable C."},
    {NULL, NULL, 0, NULL}};

static int execute(PyObject *module) { return PyModule_AddIntConstant(module, "avx2", has_avx2()); }

static PyModuleDef_Slot module_slots[] = {{Py_mod_exec, (void *)execute}, {0, NULL}};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_ternary_cpu",
                                        "Packed ternary layers on this machine.", 0, methods,
                                        module_slots, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__ternary_cpu(void) { return PyModuleDef_Init(&definition); }
