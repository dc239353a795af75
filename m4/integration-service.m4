# SPDX-License-Identifier: MIT
# What configure.ac asks, in words of its own.

# IS_REQUIRE(VARIABLE-PREFIX, MODULE, DEBIAN-PACKAGE): a library, or a message that names the package.
AC_DEFUN([IS_REQUIRE], [
  PKG_CHECK_MODULES([$1], [$2], [],
    [AC_MSG_ERROR([$2 was not found: install its development files (Debian: apt-get install $3)])])
])

# IS_ADD_FLAG(VARIABLE, FLAG): appends a compiler flag that the compiler knows.
AC_DEFUN([IS_ADD_FLAG], [
  AS_VAR_PUSHDEF([cached], [is_cv_flag_$2])
  AC_CACHE_CHECK([whether $CC takes $2], [cached], [
    is_saved_CFLAGS=$CFLAGS
    CFLAGS="$CFLAGS -Werror $2"
    AC_LINK_IFELSE([AC_LANG_PROGRAM()], [AS_VAR_SET([cached], [yes])], [AS_VAR_SET([cached], [no])])
    CFLAGS=$is_saved_CFLAGS
  ])
  AS_VAR_IF([cached], [yes], [$1="$$1 $2"])
  AS_VAR_POPDEF([cached])
])

AC_DEFUN([IS_CHECK_C17], [
  IS_ADD_FLAG([IS_CFLAGS], [-std=c17])
])

# IS_WARNINGS(yes|no): whether warnings are errors.
AC_DEFUN([IS_WARNINGS], [
  m4_foreach_w([flag], [-Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes
      -Wmissing-prototypes -Wwrite-strings -Wformat=2 -Wundef -Wvla -Wno-overlength-strings],
    [IS_ADD_FLAG([IS_CFLAGS], flag)])
  AS_IF([test "$1" = yes], [IS_CFLAGS="$IS_CFLAGS -Werror"])
])

# FORTIFY_SOURCE needs an optimizing build; distributions that set it themselves are left alone.
AC_DEFUN([IS_HARDENING], [
  IS_ADD_FLAG([IS_CFLAGS], [-fstack-protector-strong])
  IS_ADD_FLAG([IS_CFLAGS], [-fstack-clash-protection])
  IS_ADD_FLAG([IS_CFLAGS], [-fPIE])
  IS_ADD_FLAG([IS_LDFLAGS], [-pie])
  IS_ADD_FLAG([IS_LDFLAGS], [-Wl,-z,relro])
  IS_ADD_FLAG([IS_LDFLAGS], [-Wl,-z,now])
  IS_ADD_FLAG([IS_LDFLAGS], [-Wl,-z,noexecstack])
  AS_CASE(["$CPPFLAGS $CFLAGS"],
    [*_FORTIFY_SOURCE*|*-O0*], [],
    [IS_CPPFLAGS="$IS_CPPFLAGS -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2"])
])

AC_DEFUN([IS_SANITIZERS], [
  IS_CFLAGS="$IS_CFLAGS -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer"
  IS_CPPFLAGS="$IS_CPPFLAGS -DWITH_SANITIZERS"
  IS_LDFLAGS="$IS_LDFLAGS -fsanitize=address,undefined"
])

# Coverage for libFuzzer in all code but the fuzzers' main, which it brings itself.
AC_DEFUN([IS_FUZZERS], [
  IS_CFLAGS="$IS_CFLAGS -fsanitize=fuzzer-no-link"
])
