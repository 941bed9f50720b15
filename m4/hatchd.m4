# HATCHD_CC_FLAGS(VARIABLE, FLAGS)
# Append each of FLAGS that the compiler takes without a warning.
AC_DEFUN([HATCHD_CC_FLAGS], [
AC_SUBST([$1])
for flag in $2; do
	AC_MSG_CHECKING([whether $CC takes $flag])
	saved_CFLAGS=$CFLAGS
	CFLAGS="$CFLAGS -Werror $flag"
	AC_COMPILE_IFELSE([AC_LANG_PROGRAM()],
		[$1="${$1:+$$1 }$flag"; AC_MSG_RESULT([yes])], [AC_MSG_RESULT([no])])
	CFLAGS=$saved_CFLAGS
done
])

# HATCHD_LD_FLAGS(VARIABLE, FLAGS)
# The same for flags of the link, each together with those before it.
AC_DEFUN([HATCHD_LD_FLAGS], [
AC_SUBST([$1])
for flag in $2; do
	AC_MSG_CHECKING([whether $CC links with $flag])
	saved_CFLAGS=$CFLAGS saved_LDFLAGS=$LDFLAGS
	CFLAGS="$CFLAGS -Werror $HARDENING_CFLAGS $SANITIZER_CFLAGS"
	LDFLAGS="$LDFLAGS $$1 $flag"
	AC_LINK_IFELSE([AC_LANG_PROGRAM()],
		[link_takes_flag=yes], [link_takes_flag=no])
	CFLAGS=$saved_CFLAGS LDFLAGS=$saved_LDFLAGS
	AC_MSG_RESULT([$link_takes_flag])
	AS_IF([test $link_takes_flag = yes], [$1="${$1:+$$1 }$flag"])
done
])

# HATCHD_SANITIZERS(LIST)
# What was asked for by name must be there.
AC_DEFUN([HATCHD_SANITIZERS], [
HATCHD_CC_FLAGS([SANITIZER_CFLAGS],
	[-fsanitize=$1 -fno-sanitize-recover=all -fno-omit-frame-pointer])
HATCHD_LD_FLAGS([SANITIZER_LDFLAGS], [-fsanitize=$1])
AS_IF([test -z "$SANITIZER_LDFLAGS"], [AC_MSG_ERROR([$CC has no -fsanitize=$1])])
])

# HATCHD_HARDENING
# _FORTIFY_SOURCE is nothing without optimisation and in the way of sanitizers.
AC_DEFUN([HATCHD_HARDENING], [
AC_SUBST([HARDENING_CPPFLAGS])
HATCHD_CC_FLAGS([HARDENING_CFLAGS],
	[-fPIE -fstack-protector-strong -fstack-clash-protection])
HATCHD_CC_FLAGS([HARDENING_CFLAGS], [-fcf-protection=full -mbranch-protection=standard])
HATCHD_LD_FLAGS([HARDENING_LDFLAGS], [-pie -Wl,-z,relro -Wl,-z,now])
AC_MSG_CHECKING([for the level of _FORTIFY_SOURCE])
AC_COMPILE_IFELSE([AC_LANG_SOURCE([
#include <features.h>
#if !defined __OPTIMIZE__
#error "without optimisation it only warns"
#endif
#if !__GLIBC_PREREQ(2, 34)
#error "level 3 is not known"
#endif
])], [fortify=3], [AC_COMPILE_IFELSE([AC_LANG_SOURCE([
#if !defined __OPTIMIZE__
#error "without optimisation it only warns"
#endif
])], [fortify=2], [fortify=none])])
AS_IF([test -n "$SANITIZER_CFLAGS"], [fortify=none])
AC_MSG_RESULT([$fortify])
AS_IF([test $fortify != none],
	[HARDENING_CPPFLAGS="-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=$fortify"])
])

# HATCHD_SYSTEMD_FOLDER(VARIABLE, FOLDER, CONDITIONAL, WHAT)
# --with-VARIABLE says where WHAT goes, or that it does not.  The folder of the distribution
# is for what the distribution installs; systemd looks below /usr/local as well, and whoever
# installs into his home may write to neither.
AC_DEFUN([HATCHD_SYSTEMD_FOLDER], [
AC_ARG_WITH([$1],
	[AS_HELP_STRING([--with-$1=DIR],
		[where $4 go, or no @<:@what systemd.pc says with --prefix=/usr,
		else PREFIX/$2@:>@])],
	[], [with_$1=])
AS_IF([test -z "$with_$1"],
	[AS_CASE([$prefix], [/|/usr], [PKG_CHECK_VAR([with_$1], [systemd], [$1])])])
AS_IF([test -z "$with_$1"], [with_$1='${prefix}/$2'])
AM_CONDITIONAL([$3], [test "$with_$1" != no])
AC_SUBST([$1], [$with_$1])
])
