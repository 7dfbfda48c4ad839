/* Counts what an emulated program executes: functions that unicorn calls for each block and each
 * read from flash. In C because a float model runs through 10^8 blocks, and a Python function
 * costs a microsecond each. Built for the stable interface of CPython 3.11. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdint.h>
#include <string.h>

/* uc_cb_hookcode_t, uc_cb_hookmem_t and uc_emu_stop of unicorn/unicorn.h (2.x); the handle is
 * opaque here, so that unicorn is needed neither to compile nor to import this. */
typedef void (*block_hook)(void *, uint64_t, uint32_t, void *);
typedef void (*access_hook)(void *, int, uint64_t, int, int64_t, void *);
typedef int (*stop_function)(void *);

typedef struct {
  PyObject_HEAD
  uint64_t base;       /* address of the first halfword */
  size_t halfwords;    /* of code */
  uint32_t *ordinal;   /* instructions before each halfword, halfwords + 1 entries */
  int64_t *delta;      /* +1 where a block begins, -1 where it ends, halfwords + 1 entries */
  uint64_t next;       /* address after the last block */
  uint64_t instructions, limit;
  uint64_t taken, code_misses, data_misses, unaligned;
  uint64_t *tags;      /* of the cache, most recent way first; 0 is no line */
  unsigned int ways, line_shift;
  uint64_t sets;
  void *stop;
  int outside;         /* a block lay outside the code */
} Counter;

/* Whether the line is not in the cache; it is there afterwards. Least recently used goes. */
static int misses(Counter *c, uint64_t line) {
  uint64_t *set = c->tags + (line % c->sets) * c->ways;
  const uint64_t tag = line + 1;
  unsigned int way = 0;
  if (set[0] == tag) return 0;
  while (way < c->ways - 1 && set[way] != tag) way++;
  {
    const int missed = set[way] != tag;
    for (; way > 0; way--) set[way] = set[way - 1];
    set[0] = tag;
    return missed;
  }
}

static void stop(const Counter *c, void *engine) {
  stop_function function;
  memcpy(&function, &c->stop, sizeof function);
  (void)function(engine);
}

static void on_block(void *engine, uint64_t address, uint32_t size, void *user) {
  Counter *c = user;
  const uint64_t at = (address - c->base) >> 1, end = at + (size >> 1);
  uint64_t line, last;
  if (address < c->base || end > c->halfwords) {
    c->outside = 1;
    stop(c, engine);
    return;
  }
  c->delta[at]++;
  c->delta[end]--;
  if (address != c->next) c->taken++;
  c->next = address + size;
  last = (c->next - 1) >> c->line_shift;
  for (line = address >> c->line_shift; line <= last; line++) {
    c->code_misses += (uint64_t)misses(c, line);
  }
  c->instructions += c->ordinal[end] - c->ordinal[at];
  if (c->instructions > c->limit) stop(c, engine);
}

static void on_read(void *engine, int type, uint64_t address, int size, int64_t value,
                    void *user) {
  Counter *c = user;
  (void)engine, (void)type, (void)size, (void)value;
  c->data_misses += (uint64_t)misses(c, address >> c->line_shift);
}

static void on_access(void *engine, int type, uint64_t address, int size, int64_t value,
                      void *user) {
  Counter *c = user;
  (void)engine, (void)type, (void)value;
  if ((address & (uint64_t)(size - 1)) != 0) c->unaligned++; /* sizes are powers of two */
}

static PyObject *counter_new(PyTypeObject *type, PyObject *args, PyObject *keywords) {
  static char *names[] = {"base", "starts", "limit", "stop", "cache_bytes", "ways", "line_bytes",
                          NULL};
  allocfunc alloc = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
  unsigned long long base, limit, stop_address;
  unsigned int bytes, ways, line;
  const char *starts;
  Py_ssize_t count, i;
  Counter *c;
  if (!PyArg_ParseTupleAndKeywords(args, keywords, "Ky#KKIII:Counter", names, &base, &starts,
                                   &count, &limit, &stop_address, &bytes, &ways, &line)) {
    return NULL;
  }
  if (ways == 0 || line == 0 || (line & (line - 1)) != 0 || bytes / line / ways == 0) {
    PyErr_SetString(PyExc_ValueError, "no such cache");
    return NULL;
  }
  c = (Counter *)alloc(type, 0);
  if (c == NULL) return NULL;
  c->base = base;
  c->halfwords = (size_t)count;
  c->limit = limit;
  c->stop = (void *)(uintptr_t)stop_address;
  c->ways = ways;
  c->sets = bytes / line / ways;
  while (1u << c->line_shift < line) c->line_shift++;
  c->ordinal = PyMem_Calloc((size_t)count + 1, sizeof *c->ordinal);
  c->delta = PyMem_Calloc((size_t)count + 1, sizeof *c->delta);
  c->tags = PyMem_Calloc((size_t)c->sets * ways, sizeof *c->tags);
  if (c->ordinal == NULL || c->delta == NULL || c->tags == NULL) {
    Py_DECREF(c);
    return PyErr_NoMemory();
  }
  for (i = 0; i < count; i++) c->ordinal[i + 1] = c->ordinal[i] + (starts[i] != 0);
  return (PyObject *)c;
}

static void counter_dealloc(Counter *c) {
  PyTypeObject *type = Py_TYPE((PyObject *)c);
  freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
  PyMem_Free(c->ordinal);
  PyMem_Free(c->delta);
  PyMem_Free(c->tags);
  release(c);
  Py_DECREF(type);
}

static PyObject *counter_take(Counter *c, PyObject *unused) {
  PyObject *result = Py_BuildValue(
      "(y#KKK)", (const char *)c->delta, (Py_ssize_t)(c->halfwords * sizeof *c->delta),
      (unsigned long long)c->taken, (unsigned long long)c->code_misses,
      (unsigned long long)c->data_misses);
  (void)unused;
  memset(c->delta, 0, (c->halfwords + 1) * sizeof *c->delta);
  c->taken = c->code_misses = c->data_misses = 0;
  return result;
}

static PyObject *address_of(const void *function, size_t size) {
  void *pointer = NULL;
  memcpy(&pointer, function, size);
  return PyLong_FromVoidPtr(pointer);
}

static PyObject *counter_block_hook(Counter *c, void *unused) {
  const block_hook hook = on_block;
  (void)c, (void)unused;
  return address_of(&hook, sizeof hook);
}

static PyObject *counter_read_hook(Counter *c, void *unused) {
  const access_hook hook = on_read;
  (void)c, (void)unused;
  return address_of(&hook, sizeof hook);
}

static PyObject *counter_access_hook(Counter *c, void *unused) {
  const access_hook hook = on_access;
  (void)c, (void)unused;
  return address_of(&hook, sizeof hook);
}

static PyObject *counter_address(Counter *c, void *unused) {
  (void)unused;
  return PyLong_FromVoidPtr(c);
}

static PyObject *counter_instructions(Counter *c, void *unused) {
  (void)unused;
  return PyLong_FromUnsignedLongLong(c->instructions);
}

static PyObject *counter_unaligned(Counter *c, void *unused) {
  (void)unused;
  return PyLong_FromUnsignedLongLong(c->unaligned);
}

static PyObject *counter_outside(Counter *c, void *unused) {
  (void)unused;
  return PyBool_FromLong(c->outside);
}

static PyMethodDef methods[] = {
    {"take", (PyCFunction)(void (*)(void))counter_take, METH_NOARGS,
     "What was counted since the last time, which starts anew."},
    {NULL, NULL, 0, NULL}};

static PyGetSetDef properties[] = {
    {"block_hook", (getter)counter_block_hook, NULL, "Address of the function for blocks.", NULL},
    {"read_hook", (getter)counter_read_hook, NULL, "Address of the function for reads.", NULL},
    {"access_hook", (getter)counter_access_hook, NULL, "Address of the function for alignment.",
     NULL},
    {"address", (getter)counter_address, NULL, "What both take as user data.", NULL},
    {"instructions", (getter)counter_instructions, NULL, "Executed since the beginning.", NULL},
    {"unaligned", (getter)counter_unaligned, NULL, "Accesses that were not aligned.", NULL},
    {"outside", (getter)counter_outside, NULL, "Whether it left the code.", NULL},
    {NULL, NULL, NULL, NULL, NULL}};

static PyType_Slot counter_slots[] = {{Py_tp_doc, "Counts the instructions of emulated code."},
                                      {Py_tp_new, (void *)counter_new},
                                      {Py_tp_dealloc, (void *)counter_dealloc},
                                      {Py_tp_methods, methods},
                                      {Py_tp_getset, properties},
                                      {0, NULL}};

static PyType_Spec counter_spec = {"ternc._emulator.Counter", sizeof(Counter), 0,
                                   Py_TPFLAGS_DEFAULT, counter_slots};

static int execute(PyObject *module) {
  PyObject *type = PyType_FromModuleAndSpec(module, &counter_spec, NULL);
  int status;
  if (type == NULL) return -1;
  status = PyModule_AddType(module, (PyTypeObject *)type);
  Py_DECREF(type);
  return status;
}

static PyModuleDef_Slot module_slots[] = {{Py_mod_exec, (void *)execute}, {0, NULL}};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_emulator",
                                        "Counts what an emulated program executes.", 0, NULL,
                                        module_slots, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__emulator(void) { return PyModuleDef_Init(&definition); }
