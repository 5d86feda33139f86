/* Copyright: Kubestead contributors */
/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Lets User-Mode Linux run on processors with AMX.
 *
 * UML 6.1 keeps 2696 bytes of vector state for a process (all of AVX-512) and hands them back to the host by
 * PTRACE_SETREGSET. The host takes only its whole state, which with AMX is 11 KiB, and answers EFAULT: the first process
 * of the guest dies. Preloaded into linux.uml, this fills the rest with AMX's initial state, the only one a guest can be
 * in: the permission to use AMX is asked for per process, and UML never asks.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <elf.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/uio.h>

enum { GETREGSET = 0x4204, SETREGSET = 0x4205 };
enum { HEADER = 512, KNOWN_FEATURES = 0x3ff, ROOM = 65536 };

static long (*real_ptrace)(int, long, void *, void *);
static size_t host_size;
static char state[ROOM] __attribute__((aligned(64)));

__attribute__((constructor)) static void find_ptrace(void)
{
    *(void **)&real_ptrace = dlsym(RTLD_NEXT, "ptrace");
}

static size_t size_on_host(long pid)
{
    struct iovec all = {state, sizeof state};

    return real_ptrace(GETREGSET, pid, (void *)(uintptr_t)NT_X86_XSTATE, &all) ? 0 : all.iov_len;
}

static long set_whole_state(long pid, const struct iovec *part)
{
    struct iovec whole = {state, host_size};
    uint64_t features;

    memset(state, 0, host_size);
    memcpy(state, part->iov_base, part->iov_len);
    memcpy(&features, state + HEADER, sizeof features);
    features &= KNOWN_FEATURES;
    memcpy(state + HEADER, &features, sizeof features);
    return real_ptrace(SETREGSET, pid, (void *)(uintptr_t)NT_X86_XSTATE, &whole);
}

long ptrace(int request, ...)
{
    va_list rest;
    va_start(rest, request);
    long pid = va_arg(rest, int);
    void *address = va_arg(rest, void *);
    void *data = va_arg(rest, void *);
    va_end(rest);

    if (request == SETREGSET && (uintptr_t)address == NT_X86_XSTATE) {
        if (!host_size)
            host_size = size_on_host(pid);
        if (((struct iovec *)data)->iov_len < host_size)
            return set_whole_state(pid, data);
    }
    return real_ptrace(request, pid, address, data);
}
