// What runs a kernel: a fibre for each thread of a block, and guarded copies of the arrays.
//
// A fibre runs until it comes to a barrier or a shuffle, and a warp until all its fibres have come to a barrier. They run in
// the order of their numbers or, `backwards`, in the reverse: a kernel that lacks a barrier computes something else in one of
// the two orders. Every array lies at the end of its pages (backwards: at their start) with forbidden pages on both sides, so
// that an access outside ends the run.

#include <csetjmp>
#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <sys/mman.h>
#include <ucontext.h>
#include "device.h"

namespace emulator {

State state;

namespace {
const int MOST = 1024;  // threads in a block
const size_t STACK = 1 << 16, PAGE = 1 << 12, ALIGNED = 16;
const int LONGEST = 400;  // of an error's message

enum Waiting { RUNS, AT_BARRIER, IN_WARP, DONE };
struct Fibre {
    jmp_buf place;
    char *stack;
    bool started;
    Waiting waiting;
    int line;
    unsigned mask;
    uint64_t given;
} fibres[MOST];
struct Warp { uint64_t values[32]; unsigned valid; } warps[MOST / 32];

jmp_buf scheduler, escape;
char *message;
Body body;
void **arguments;
int current, count;

// Guarded copies of the arrays of one launch.
struct Copy { char *from, *at, *pages; size_t size, length; } copies[64];
int copied;

const char *place(char *address) {
    static char text[100];
    for (int i = 0; i < copied; ++i) {
        Copy &c = copies[i];
        if (address < c.pages - PAGE || address >= c.pages + c.length + PAGE) continue;
        snprintf(text, sizeof text, "byte %ld of array %d, which has %zu bytes", (long)(address - c.at), i, c.size);
        return text;
    }
    return "an address in no array";
}

void on_fault(int number, siginfo_t *info, void *) {
    if (number == SIGSEGV || number == SIGBUS)
        fail("the thread touches %s", place((char *)info->si_addr));
    fail("the thread leaves a shared or local array, or takes a vector from an address that is not aligned for it");
}

void go_back() {
    if (!_setjmp(fibres[current].place)) _longjmp(scheduler, 1);
}

// A fibre stays alive from block to block: starting one costs more than switching to it.
void live() {
    for (;;) {
        body(arguments);
        fibres[current].waiting = DONE;
        go_back();
    }
}

void resume(int i) {
    Fibre &f = fibres[current = i];
    dim3 &n = state.threads;
    state.thread = {i % n.x, i / n.x % n.y, i / (n.x * n.y)};
    if (_setjmp(scheduler)) return;
    if (f.started) _longjmp(f.place, 1);
    f.started = true;
    if (!f.stack) f.stack = (char *)mmap(0, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ucontext_t context;
    getcontext(&context);
    context.uc_stack.ss_sp = f.stack;
    context.uc_stack.ss_size = STACK;
    context.uc_link = 0;
    makecontext(&context, live, 0);
    setcontext(&context);
}

// Let those threads of a warp go on of whose masks all have come; whether there were any.
bool release_warp(int first) {
    int last = first + 32 < count ? first + 32 : count;
    bool any = false;
    for (int i = first; i < last; ++i) {
        if (fibres[i].waiting != IN_WARP) continue;
        unsigned mask = fibres[i].mask, here = 0;
        bool all = true;
        for (int j = first; j < last; ++j) {
            Fibre &f = fibres[j];
            if (!(mask >> (j - first) & 1) || f.waiting == DONE) continue;
            here |= 1u << (j - first);
            all = all && f.waiting == IN_WARP && f.mask == mask && f.line == fibres[i].line;
        }
        if (!all) continue;
        for (int j = first; j < last; ++j)
            if (here >> (j - first) & 1) {
                warps[i / 32].values[j - first] = fibres[j].given;
                fibres[j].waiting = RUNS;
            }
        warps[i / 32].valid = (warps[i / 32].valid & ~mask) | here;
        any = true;
    }
    return any;
}

void release_block() {
    for (int i = 0; i < count; ++i) {
        Fibre &f = fibres[i], &first = fibres[0];
        current = i;
        if (f.waiting == first.waiting && f.line == first.line && f.waiting == AT_BARRIER) continue;
        const char *what[] = {"runs", "waits at the barrier of", "waits for its warp at", "has ended"};
        fail("not all threads come to one barrier: thread 0 %s line %d, thread %d %s line %d", what[first.waiting],
             first.line, i, what[f.waiting], f.line);
    }
    for (int i = 0; i < count; ++i) fibres[i].waiting = RUNS;
}

// A warp runs as far as it can, through its shuffles, before the next one begins: the barriers alone hold it back.
void run_block(bool backwards) {
    for (int i = 0; i < count; ++i) fibres[i].waiting = RUNS, fibres[i].line = 0;
    int in_all = (count + 31) / 32;
    for (;;) {
        for (int w = 0; w < in_all; ++w) {
            int first = (backwards ? in_all - 1 - w : w) * 32, here = count - first < 32 ? count - first : 32;
            do {
                for (int i = 0; i < here; ++i) {
                    int j = first + (backwards ? here - 1 - i : i);
                    if (fibres[j].waiting == RUNS) resume(j);
                }
            } while (release_warp(first));
        }
        int done = 0;
        for (int i = 0; i < count; ++i) done += fibres[i].waiting == DONE;
        if (done == count) return;
        release_block();
    }
}

size_t whole(size_t size, size_t unit) { return (size + unit - 1) / unit * unit; }

void copy_in(void **args, const size_t *sizes, int n, bool backwards) {
    for (int i = 0; i < n; ++i) {
        char **pointer = (char **)args[i], *from = *pointer;
        if (!sizes[i]) continue;
        for (int j = 0; j < copied && sizes[i]; ++j) {
            Copy &c = copies[j];
            if (from == c.from && sizes[i] == c.size) *pointer = c.at;
            else if (from < c.from + c.size && c.from < from + sizes[i]) fail("arguments overlap in part: argument %d", i);
        }
        if (*pointer != from) continue;
        if (copied == 64) fail("more than 64 arrays");
        Copy &c = copies[copied];
        c.from = from, c.size = sizes[i], c.length = whole(c.size, PAGE);
        char *pages = (char *)mmap(0, c.length + 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (pages == MAP_FAILED) fail("no memory for the copy of argument %d", i);
        ++copied;
        c.pages = pages + PAGE;
        mprotect(c.pages, c.length, PROT_READ | PROT_WRITE);
        memset(c.pages, 0xff, c.length);
        c.at = backwards ? c.pages : c.pages + c.length - whole(c.size, ALIGNED);
        memcpy(c.at, from, c.size);
        *pointer = c.at;
    }
}

void copy_out(bool failed) {
    char *bad = 0;
    for (int i = 0; i < copied; ++i) {
        Copy &c = copies[i];
        for (char *p = c.pages; p < c.pages + c.length && !failed && !bad; ++p)
            if ((p < c.at || p >= c.at + c.size) && *p != (char)0xff) bad = p;
        memcpy(c.from, c.at, c.size);
    }
    if (bad && !failed) snprintf(message, LONGEST, "a thread writes to %s", place(bad));
    for (int i = 0; i < copied; ++i) munmap(copies[i].pages - PAGE, copies[i].length + 2 * PAGE);
    copied = 0;
}
}  // namespace

void fail(const char *format, ...) {
    int used = snprintf(message, LONGEST, "block (%u, %u, %u), thread (%u, %u, %u): ", state.block.x, state.block.y,
                        state.block.z, state.thread.x, state.thread.y, state.thread.z);
    va_list list;
    va_start(list, format);
    vsnprintf(message + used, LONGEST - used, format, list);
    va_end(list);
    _longjmp(escape, 1);
}

void barrier(int line) {
    fibres[current].waiting = AT_BARRIER;
    fibres[current].line = line;
    go_back();
}

const uint64_t *exchange(unsigned mask, uint64_t value, int line) {
    Fibre &f = fibres[current];
    if (!(mask >> current % 32 & 1)) fail("line %d: the mask leaves out the lane that calls", line);
    f.waiting = IN_WARP, f.mask = mask, f.given = value, f.line = line;
    go_back();
    return warps[current / 32].values;
}

bool has_given(int lane) { return (warps[current / 32].valid & fibres[current].mask) >> lane & 1; }

// Run a kernel; an empty message means that it went well. `sizes` has an array's bytes, or 0 where there is no array.
extern "C" void emulate(Body kernel, void **args, const size_t *sizes, int n, const unsigned *shape, char *shared,
                        size_t shared_size, char *begin, char *end, int backwards, char *error) {
    message = error;
    *error = 0;
    copied = 0;
    struct sigaction action = {}, before[4];
    const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGTRAP};
    static char spare[1 << 15];
    stack_t stack = {}, stack_before;
    stack.ss_sp = spare, stack.ss_size = sizeof spare;
    sigaltstack(&stack, &stack_before);
    action.sa_sigaction = on_fault;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
    for (int i = 0; i < 4; ++i) sigaction(signals[i], &action, before + i);

    volatile bool failed = true;
    state.blocks = {shape[0], shape[1], shape[2]};
    state.threads = {shape[3], shape[4], shape[5]};
    state.block = state.thread = {0, 0, 0};
    if (!_setjmp(escape)) {
        body = kernel, arguments = args, count = shape[3] * shape[4] * shape[5];
        copy_in(args, sizes, n, backwards);
        unsigned blocks = shape[0] * shape[1] * shape[2];
        for (unsigned i = 0; i < blocks; ++i) {
            unsigned b = backwards ? blocks - 1 - i : i;
            state.block = {b % shape[0], b / shape[0] % shape[1], b / (shape[0] * shape[1])};
            state.shared = shared;
            memset(shared, 0xff, shared_size);  // nan: nothing may be read before it is written
            if (begin) memset(begin, 0xff, end - begin);
            run_block(backwards);
        }
        failed = false;
    } else {
        for (Fibre &f : fibres) f.started = false;
    }
    copy_out(failed);
    for (int i = 0; i < 4; ++i) sigaction(signals[i], before + i, 0);
    if (stack_before.ss_flags != SS_ONSTACK) sigaltstack(&stack_before, 0);
}

}  // namespace emulator
