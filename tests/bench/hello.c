/*
 * hello: writes "hello\n" and exits, with as little in between as there is.
 * Compiled with another HELLO_TEXT of six bytes it is `later`, the program that
 * takes hello's place when a configuration changes.  Compiled with HELLO_READS it is
 * `reply`, which first reads something.
 *
 * With -static -nostdlib and a known machine it is two system calls and one
 * page (and one more to read); elsewhere it is an ordinary program (compile with
 * -DHELLO_WITH_LIBC), and then the time of its start-up is measured too, for all alike.
 */
#ifndef HELLO_TEXT
#define HELLO_TEXT "hello\n"
#endif

#define STRING(text)  #text
#define QUOTED(text)  STRING(text)
#define ASSEMBLY_TEXT ".ascii " QUOTED(HELLO_TEXT) "\n"

#if !defined(HELLO_WITH_LIBC) && defined(__x86_64__)
__asm__(".globl _start\n"
	"_start:\n\t"
#ifdef HELLO_READS
	"xor %eax, %eax\n\t" /* read(0, below the stack, 64) */
	"xor %edi, %edi\n\t"
	"lea -64(%rsp), %rsi\n\t"
	"mov $64, %edx\n\t"
	"syscall\n\t"
#endif
	"mov $1, %eax\n\t" /* write(1, text, 6) */
	"mov $1, %edi\n\t"
	"lea text(%rip), %rsi\n\t"
	"mov $6, %edx\n\t"
	"syscall\n\t"
	"mov $60, %eax\n\t" /* exit(0) */
	"xor %edi, %edi\n\t"
	"syscall\n"
	"text:\n\t" ASSEMBLY_TEXT);
#elif !defined(HELLO_WITH_LIBC) && defined(__aarch64__)
__asm__(".globl _start\n"
	"_start:\n\t"
#ifdef HELLO_READS
	"mov x8, #63\n\t" /* read(0, below the stack, 64) */
	"mov x0, #0\n\t"
	"sub x1, sp, #64\n\t"
	"mov x2, #64\n\t"
	"svc #0\n\t"
#endif
	"mov x8, #64\n\t" /* write(1, text, 6) */
	"mov x0, #1\n\t"
	"adr x1, text\n\t"
	"mov x2, #6\n\t"
	"svc #0\n\t"
	"mov x8, #93\n\t" /* exit(0) */
	"mov x0, #0\n\t"
	"svc #0\n"
	"text:\n\t" ASSEMBLY_TEXT);
#else
#include <unistd.h>

int main(void)
{
#ifdef HELLO_READS
	char said[64];

	if (read(STDIN_FILENO, said, sizeof said) < 0)
		return 1;
#endif
	return write(STDOUT_FILENO, HELLO_TEXT, 6) == 6 ? 0 : 1;
}
#endif
