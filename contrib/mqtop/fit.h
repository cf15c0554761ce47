/* fit.h - text of so many columns of a terminal, whatever the characters; numbers in short forms. */
#ifndef MQTOP_FIT_H
#define MQTOP_FIT_H

#include <stddef.h>

/* At most `width` columns of text, in the locale's encoding, filled up with blanks if `fill`.  Bytes that are no
 * character, and characters that cannot be shown, become `?`.  buf of FIT_BYTES(width) bytes.  Returns how many bytes of text
 * that was. */
#define FIT_BYTES(width) ((size_t)(width) * 16 + 1)
size_t fit(const char *text, int width, int fill, char *buf);

/* Columns that the whole text takes. */
int fit_width(const char *text);

/* 1234 -> 1234, 12345678 -> 12.3M (powers of 1000); bytes: 12.3M is of 1024. */
void fit_number(double n, int of_bytes, char *buf, size_t size);

/* 12.3s, 4m05, 3h20, 5d12 */
void fit_seconds(double s, char *buf, size_t size);

#endif
