/*
 * clone3 must be entered by assembly: the child returns from the system call
 * on a new, empty stack, so it has to leave by a call, not by a return into
 * the C function that its parent was in.
 *
 * The tid word is set before the call and not by CLONE_PARENT_SETTID: a child
 * that is gone before the parent looks must not be taken for a living one.
 */
#include "os/spawn_clone.h"

#include "os/syscall.h"

#include <errno.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <string.h>

#ifndef CLONE_CLEAR_SIGHAND
#define CLONE_CLEAR_SIGHAND 0x100000000ULL
#endif

/* Flags that both calls know. */
static uint64_t common_flags(const struct spawn_clone *how)
{
	return CLONE_PIDFD | CLONE_CHILD_CLEARTID | (how->shared ? CLONE_VM : 0) |
	       (how->share_table ? CLONE_FILES : 0);
}

#if defined(__x86_64__) && !defined(__ILP32__)

static long clone3_call(struct clone_args *args, void (*run)(void *), void *arg)
{
	register void (*r8)(void *) __asm__("r8") = run;
	register void *r9 __asm__("r9") = arg;
	long ret;

	__asm__ volatile("syscall\n\t"
			 "test %%rax, %%rax\n\t"
			 "jnz 1f\n\t"
			 "xor %%ebp, %%ebp\n\t"
			 "mov %%r9, %%rdi\n\t"
			 "call *%%r8\n\t"
			 "hlt\n"
			 "1:"
			 : "=a"(ret)
			 : "0"((long)SYS_clone3), "D"(args), "S"(sizeof *args), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory", "cc");
	return ret;
}

#elif defined(__aarch64__)

static long clone3_call(struct clone_args *args, void (*run)(void *), void *arg)
{
	register long x8 __asm__("x8") = SYS_clone3;
	register long x0 __asm__("x0") = (long)args;
	register long x1 __asm__("x1") = sizeof *args;
	register void (*x9)(void *) __asm__("x9") = run;
	register void *x10 __asm__("x10") = arg;

	__asm__ volatile("svc 0\n\t"
			 "cbnz x0, 1f\n\t"
			 "mov x29, xzr\n\t"
			 "mov x30, xzr\n\t"
			 "mov x0, x10\n\t"
			 "blr x9\n\t"
			 "brk 0\n"
			 "1:"
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), "r"(x9), "r"(x10)
			 : "memory", "cc");
	return x0;
}

#elif defined(__riscv) && __riscv_xlen == 64

static long clone3_call(struct clone_args *args, void (*run)(void *), void *arg)
{
	register long a7 __asm__("a7") = SYS_clone3;
	register long a0 __asm__("a0") = (long)args;
	register long a1 __asm__("a1") = sizeof *args;
	register void (*t1)(void *) __asm__("t1") = run;
	register void *t2 __asm__("t2") = arg;

	__asm__ volatile("ecall\n\t"
			 "bnez a0, 1f\n\t"
			 "li s0, 0\n\t"
			 "li ra, 0\n\t"
			 "mv a0, t2\n\t"
			 "jalr t1\n\t"
			 "ebreak\n"
			 "1:"
			 : "+r"(a0)
			 : "r"(a7), "r"(a1), "r"(t1), "r"(t2)
			 : "memory");
	return a0;
}

#else

static long clone3_call(struct clone_args *args, void (*run)(void *), void *arg)
{
	(void)args;
	(void)run;
	(void)arg;
	return -ENOSYS;
}

#endif

static long by_clone3(const struct spawn_clone *how, int *pidfd)
{
	struct clone_args args = {
		.flags = common_flags(how) | CLONE_CLEAR_SIGHAND,
		.pidfd = (uint64_t)(uintptr_t)pidfd,
		.child_tid = (uint64_t)(uintptr_t)how->tid,
		.exit_signal = SIGCHLD,
		.stack = (uint64_t)(uintptr_t)how->stack,
		.stack_size = how->stack_size,
	};

	return clone3_call(&args, how->run, how->arg);
}

struct trampoline {
	void (*run)(void *arg);
	void *arg;
};

/* glibc wants a function that returns int.  The child reads both words before
 * it gives the descriptor table back, but the parent may be gone from this
 * frame by then: they live on the child's stack. */
static int run_trampoline(void *p)
{
	struct trampoline *t = p;

	t->run(t->arg);
	return 127;
}

static long by_clone(const struct spawn_clone *how, int *pidfd)
{
	char *top = (char *)how->stack + how->stack_size;
	struct trampoline *t = (struct trampoline *)(void *)(top - 64);
	int flags = (int)common_flags(how) | SIGCHLD;
	int r;

	/* Without our own system calls the child needs errno, which it would
	 * share: it then runs alone. */
	if (how->shared && !RAW_SYSCALL_NATIVE)
		flags |= CLONE_VFORK;

	t->run = how->run;
	t->arg = how->arg;
	r = clone(run_trampoline, t, flags, t, pidfd, NULL, how->tid);
	return r < 0 ? -errno : r;
}

pid_t spawn_clone(const struct spawn_clone *how, int *ret_pidfd)
{
	int pidfd = -1;
	long r;

	__atomic_store_n(how->tid, 1, __ATOMIC_RELEASE);
	r = how->use_clone3 ? by_clone3(how, &pidfd) : by_clone(how, &pidfd);
	if (r < 0) {
		__atomic_store_n(how->tid, 0, __ATOMIC_RELEASE);
		return (pid_t)r;
	}
	*ret_pidfd = pidfd;
	return (pid_t)r;
}

/* An impossible size is refused with EINVAL by a kernel that lets the call through. */
bool spawn_clone3_works(void)
{
	if (!RAW_SYSCALL_NATIVE)
		return false;
	return raw_syscall2(SYS_clone3, 0, 0) == -EINVAL;
}
