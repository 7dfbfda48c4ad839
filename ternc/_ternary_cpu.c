/* Deployed ternary layers on this machine: y = (x . W') * scale + bias, with W packed two bits to
 * a weight as ternc.quantize.pack_ternary does, each row beginning on a byte.
 *
 * The forms (_ternary_rows.h) add in different orders, so they agree to rounding only. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <string.h>

#include "_ternary_rows.h"

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
  return linear_with(fastest_row(), args);
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

static int execute(PyObject *module) {
  return PyModule_AddIntConstant(module, "avx2", fastest_row() == row_avx2);
}

static PyModuleDef_Slot module_slots[] = {{Py_mod_exec, (void *)execute}, {0, NULL}};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_ternary_cpu",
                                        "Packed ternary layers on this machine.", 0, methods,
                                        module_slots, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__ternary_cpu(void) { return PyModuleDef_Init(&definition); }
