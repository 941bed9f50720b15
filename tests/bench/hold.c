/*
 * hold: writes "held\n", waits until it is sent a byte or the end, and exits.
 * As small as hello, so that thousands of them fit on any machine.
 */
#if !defined(HELLO_WITH_LIBC) && defined(__x86_64__)
__asm__(".globl _start\n"
	"_start:\n\t"
	"mov $1, %eax\n\t" /* write(1, text, 5) */
	"mov $1, %edi\n\t"
	"lea text(%rip), %rsi\n\t"
	"mov $5, %edx\n\t"
	"syscall\n\t"
	"xor %eax, %eax\n\t" /* read(0, below the stack, 1) */
	"xor %edi, %edi\n\t"
	"lea -64(%rsp), %rsi\n\t"
	"mov $1, %edx\n\t"
	"syscall\n\t"
	"mov $60, %eax\n\t" /* exit(0) */
	"xor %edi, %edi\n\t"
	"syscall\n"
	"text:\n\t"
	".ascii \"held\\n\"\n");
#elif !defined(HELLO_WITH_LIBC) && defined(__aarch64__)
__asm__(".globl _start\n"
	"_start:\n\t"
	"mov x8, #64\n\t" /* write(1, text, 5) */
	"mov x0, #1\n\t"
	"adr x1, text\n\t"
	"mov x2, #5\n\t"
	"svc #0\n\t"
	"mov x8, #63\n\t" /* read(0, below the stack, 1) */
	"mov x0, #0\n\t"
	"sub x1, sp, #64\n\t"
	"mov x2, #1\n\t"
	"svc #0\n\t"
	"mov x8, #93\n\t" /* exit(0) */
	"mov x0, #0\n\t"
	"svc #0\n"
	"text:\n\t"
	".ascii \"held\\n\"\n");
#else
#include <unistd.h>

int main(void)
{
	char byte;

	if (write(STDOUT_FILENO, "held\n", 5) != 5)
		return 1;
	return read(STDIN_FILENO, &byte, 1) < 0;
}
#endif
