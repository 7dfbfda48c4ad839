/* The runtime, compiled for this machine, as a Python type: what a chip computes, computed here.
 * Built for the stable interface of CPython 3.11, so that one wheel serves every later version. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <string.h>

#include "ternc_kernel.h"

/* What may happen to the model's memory at the moment. */
typedef enum {
  IDLE,
  CALLING, /* inside run_with, under the GIL: the callback may read and write tensors */
  RUNNING  /* inside run, without the GIL: nobody may touch it */
} activity;

typedef struct {
  PyObject_HEAD
  ternc_model model;
  void *memory[1 + TERNC_REGIONS]; /* what to free: the blob, then the regions */
  size_t needs[TERNC_REGIONS];
  activity busy;
} Model;

/* `size` zeroed bytes on a 16-byte boundary; `*memory` is what to free. */
static void *allocate(size_t size, void **memory) {
  uintptr_t address;
  *memory = PyMem_Calloc(1, size + TERNC_ALIGNMENT);
  if (*memory == NULL) return PyErr_NoMemory();
  address = ((uintptr_t)*memory + TERNC_ALIGNMENT - 1) & ~(uintptr_t)(TERNC_ALIGNMENT - 1);
  return (void *)address;
}

static PyObject *fail(PyObject *exception, const Model *self, ternc_status status) {
  const char *text = ternc_message(status);
  if (self != NULL && self->model.failed_code != 0) {
    return PyErr_Format(exception, "%s (instruction 0x%02x)", text,
                        (unsigned int)self->model.failed_code);
  }
  PyErr_SetString(exception, text);
  return NULL;
}

static int load(Model *self, const void *bytes, size_t size) {
  ternc_region regions[TERNC_REGIONS];
  ternc_status status;
  int i;
  void *blob = allocate(size, &self->memory[0]);
  if (blob == NULL) return -1;
  memcpy(blob, bytes, size);
  status = ternc_needs(blob, size, self->needs);
  if (status != TERNC_OK) {
    fail(PyExc_ValueError, NULL, status);
    return -1;
  }
  for (i = 0; i < TERNC_REGIONS; i++) {
    regions[i].size = self->needs[i];
    regions[i].data = allocate(self->needs[i], &self->memory[1 + i]);
    if (regions[i].data == NULL) return -1;
  }
  status = ternc_load(&self->model, blob, size, ternc_kernels_all, ternc_kernels_all_count, regions);
  if (status != TERNC_OK) {
    fail(PyExc_ValueError, self, status);
    return -1;
  }
  return 0;
}

static PyObject *model_new(PyTypeObject *type, PyObject *args, PyObject *keywords) {
  static char *names[] = {"blob", NULL};
  allocfunc alloc = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
  const char *bytes;
  Py_ssize_t size;
  Model *self;
  if (!PyArg_ParseTupleAndKeywords(args, keywords, "y#:Model", names, &bytes, &size)) return NULL;
  self = (Model *)alloc(type, 0);
  if (self == NULL) return NULL;
  if (load(self, bytes, (size_t)size) != 0) {
    Py_DECREF(self);
    return NULL;
  }
  return (PyObject *)self;
}

static void model_dealloc(Model *self) {
  PyTypeObject *type = Py_TYPE((PyObject *)self);
  freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
  size_t i;
  for (i = 0; i < sizeof self->memory / sizeof self->memory[0]; i++) PyMem_Free(self->memory[i]);
  release(self);
  Py_DECREF(type);
}

/* 0 when the memory may be touched now, else -1 with an exception. */
static int claim(const Model *self, activity most) {
  if (self->busy <= most) return 0;
  PyErr_SetString(PyExc_RuntimeError, "the model is running");
  return -1;
}

static PyObject *result(const Model *self, ternc_status status) {
  if (status != TERNC_OK) return fail(PyExc_RuntimeError, self, status);
  Py_RETURN_NONE;
}

static PyObject *model_run(Model *self, PyObject *unused) {
  ternc_status status;
  (void)unused;
  if (claim(self, IDLE) != 0) return NULL;
  self->busy = RUNNING;
  Py_BEGIN_ALLOW_THREADS
  status = ternc_run(&self->model);
  Py_END_ALLOW_THREADS
  self->busy = IDLE;
  return result(self, status);
}

static int call_python(void *callback, uint32_t instruction, uint32_t opcode) {
  PyObject *answer = PyObject_CallFunction((PyObject *)callback, "II", (unsigned int)instruction,
                                           (unsigned int)opcode);
  Py_XDECREF(answer);
  return answer == NULL;
}

static PyObject *model_run_with(Model *self, PyObject *callback) {
  ternc_status status;
  if (claim(self, IDLE) != 0) return NULL;
  self->busy = CALLING;
  status = ternc_run_with(&self->model, call_python, callback);
  self->busy = IDLE;
  if (PyErr_Occurred()) return NULL; /* the callback's own exception stopped the run */
  return result(self, status);
}

static PyObject *model_reset(Model *self, PyObject *unused) {
  (void)unused;
  if (claim(self, IDLE) != 0) return NULL;
  return result(self, ternc_reset(&self->model));
}

/* Copies a bytes-like object into `data`; its size must be the tensor's. */
static PyObject *write_bytes(void *data, size_t size, PyObject *source) {
  Py_buffer view;
  if (PyObject_GetBuffer(source, &view, PyBUF_SIMPLE) != 0) return NULL;
  if ((size_t)view.len != size) {
    PyErr_Format(PyExc_ValueError, "the tensor holds %zu bytes, %zd were given", size, view.len);
    PyBuffer_Release(&view);
    return NULL;
  }
  memcpy(data, view.buf, size);
  PyBuffer_Release(&view);
  Py_RETURN_NONE;
}

static PyObject *out_of_range(void) {
  PyErr_SetString(PyExc_IndexError, "no such tensor");
  return NULL;
}

static PyObject *model_write_input(Model *self, PyObject *args) {
  unsigned int index;
  PyObject *source;
  ternc_tensor tensor;
  if (!PyArg_ParseTuple(args, "IO:write_input", &index, &source)) return NULL;
  if (claim(self, CALLING) != 0) return NULL;
  if (ternc_input(&self->model, index, &tensor) != TERNC_OK) return out_of_range();
  return write_bytes(tensor.data, tensor.size, source);
}

static PyObject *model_read_output(Model *self, PyObject *args) {
  unsigned int index;
  ternc_tensor tensor;
  if (!PyArg_ParseTuple(args, "I:read_output", &index)) return NULL;
  if (claim(self, CALLING) != 0) return NULL;
  if (ternc_output(&self->model, index, &tensor) != TERNC_OK) return out_of_range();
  return PyBytes_FromStringAndSize((const char *)tensor.data, (Py_ssize_t)tensor.size);
}

static PyObject *model_read_tensor(Model *self, PyObject *args) {
  const ternc_op op = {&self->model, NULL};
  unsigned int index;
  if (!PyArg_ParseTuple(args, "I:read_tensor", &index)) return NULL;
  if (claim(self, CALLING) != 0) return NULL;
  if (index >= self->model.n_tensors) return out_of_range();
  return PyBytes_FromStringAndSize((const char *)ternc_data(&op, index),
                                   (Py_ssize_t)ternc_record(&op, index)->size);
}

static PyObject *model_write_tensor(Model *self, PyObject *args) {
  const ternc_op op = {&self->model, NULL};
  unsigned int index;
  PyObject *source;
  if (!PyArg_ParseTuple(args, "IO:write_tensor", &index, &source)) return NULL;
  if (claim(self, CALLING) != 0) return NULL;
  if (index >= self->model.n_tensors) return out_of_range();
  if (ternc_record(&op, index)->region == TERNC_CONSTANTS) {
    /* A changed constant could undo what load proved about it. */
    PyErr_SetString(PyExc_ValueError, "constants cannot be written");
    return NULL;
  }
  return write_bytes(ternc_data(&op, index), ternc_record(&op, index)->size, source);
}

static PyObject *describe(const ternc_tensor *tensor) {
  PyObject *dims = PyTuple_New((Py_ssize_t)tensor->rank);
  uint32_t i;
  if (dims == NULL) return NULL;
  for (i = 0; i < tensor->rank; i++) {
    PyObject *dim = PyLong_FromLong(tensor->dims[i]);
    if (dim == NULL || PyTuple_SetItem(dims, (Py_ssize_t)i, dim) != 0) {
      Py_DECREF(dims);
      return NULL;
    }
  }
  return Py_BuildValue("(siINdi)", tensor->name, (int)tensor->dtype,
                       (unsigned int)tensor->onnx_type, dims, (double)tensor->scale,
                       (int)tensor->zero_point);
}

typedef ternc_status (*accessor)(const ternc_model *, uint32_t, ternc_tensor *);

static PyObject *describe_all(const Model *self, uint32_t count, accessor get) {
  PyObject *list = PyList_New((Py_ssize_t)count);
  uint32_t i;
  if (list == NULL) return NULL;
  for (i = 0; i < count; i++) {
    ternc_tensor tensor;
    PyObject *item = get(&self->model, i, &tensor) == TERNC_OK ? describe(&tensor) : out_of_range();
    if (item == NULL || PyList_SetItem(list, (Py_ssize_t)i, item) != 0) {
      Py_DECREF(list);
      return NULL;
    }
  }
  return list;
}

static PyObject *model_inputs(Model *self, void *unused) {
  (void)unused;
  return describe_all(self, ternc_input_count(&self->model), ternc_input);
}

static PyObject *model_outputs(Model *self, void *unused) {
  (void)unused;
  return describe_all(self, ternc_output_count(&self->model), ternc_output);
}

static PyObject *model_needs(Model *self, void *unused) {
  (void)unused;
  return Py_BuildValue("(KKK)", (unsigned long long)self->needs[0],
                       (unsigned long long)self->needs[1], (unsigned long long)self->needs[2]);
}

#define METHOD(name, flags, doc) {#name, (PyCFunction)(void (*)(void))model_##name, flags, doc}

static PyMethodDef methods[] = {
    METHOD(run, METH_NOARGS, "Runs the model once."),
    METHOD(run_with, METH_O, "Runs the model, calling callback(instruction, opcode) before each."),
    METHOD(reset, METH_NOARGS, "Zeroes the state."),
    METHOD(write_input, METH_VARARGS, "Fills an input with raw bytes."),
    METHOD(read_output, METH_VARARGS, "The raw bytes of an output."),
    METHOD(read_tensor, METH_VARARGS, "The raw bytes of an entry of the tensor table."),
    METHOD(write_tensor, METH_VARARGS, "Fills an entry of the tensor table with raw bytes."),
    {NULL, NULL, 0, NULL}};

static PyGetSetDef properties[] = {
    {"needs", (getter)model_needs, NULL, "Bytes of regions 0, 1 and 2.", NULL},
    {"inputs", (getter)model_inputs, NULL,
     "(name, dtype, onnx_type, dims, scale, zero_point) of each input.", NULL},
    {"outputs", (getter)model_outputs, NULL, "The same of each output.", NULL},
    {NULL, NULL, NULL, NULL, NULL}};

static PyType_Slot model_slots[] = {
    {Py_tp_doc, "Model(blob)\n--\n\nA loaded program with memory of its own."},
    {Py_tp_new, (void *)model_new},
    {Py_tp_dealloc, (void *)model_dealloc},
    {Py_tp_methods, methods},
    {Py_tp_getset, properties},
    {0, NULL}};

static PyType_Spec model_spec = {"ternc._engine.Model", sizeof(Model), 0, Py_TPFLAGS_DEFAULT,
                                 model_slots};

static int execute(PyObject *module) {
  PyObject *type = PyType_FromModuleAndSpec(module, &model_spec, NULL);
  int status;
  if (type == NULL) return -1;
  status = PyModule_AddType(module, (PyTypeObject *)type);
  Py_DECREF(type);
  return status;
}

static PyModuleDef_Slot module_slots[] = {{Py_mod_exec, (void *)execute}, {0, NULL}};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_engine",
                                        "The C runtime, compiled for this machine.", 0, NULL,
                                        module_slots, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__engine(void) { return PyModuleDef_Init(&definition); }
