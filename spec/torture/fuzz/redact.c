/*
** redact.c - the redaction (src/engine/base/redact.c). A secret, made of the
** first bytes, is put between the two halves of the rest in one of its forms.
** The output has no long part of it, and is the text with marks in it
** otherwise. Byte 0: the form; byte 1: the secret's length; byte 2: the number
** of bytes around it within the form.
** SPDX-License-Identifier: MIT
*/
#include "fuzz.h"

#include "engine/base/redact.h"

#define MARK "[redacted]"
#define PART 16   /* bytes of a secret that must not be seen */
#define WINDOW 24 /* characters of base64 that hold as many */

enum form { PLAIN, JSON, URL, HTML, HTML_HEX, HTML_TWICE, BASE64, BASE64_URL };

struct text {
  char *bytes;
  size_t len;
};

static void put(struct text *t, const char *bytes, size_t len) {
  t->bytes = realloc(t->bytes, t->len + len + 1);
  CHECK(t->bytes != NULL);
  memcpy(t->bytes + t->len, bytes, len);
  t->len += len;
}

static void put_escaped(struct text *t, enum form form, char c) {
  static const char *const formats[] = {"%c",    "\\u%04x", "%%%02x",
                                        "&#%d;", "&#x%X;",  "&amp;#%d;"};
  char escaped[16];
  int n = snprintf(escaped, sizeof escaped, formats[form], c);
  put(t, escaped, (size_t)n);
}

static void put_base64(struct text *t, bool url, const struct text *of) {
  static const char digits[] =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_";
  for (size_t bit = 0; bit < of->len * 8; bit += 6) {
    unsigned value = 0;
    for (size_t i = bit; i < bit + 6; i++) {
      bool set = i / 8 < of->len && (of->bytes[i / 8] >> (7 - i % 8) & 1) != 0;
      value = value << 1 | set;
    }
    put(t, &digits[url && value > 61 ? value + 2 : value], 1);
  }
}

/* No part of the form that is the secret's alone may be in the output. */
static void check_parts(const struct text *out, const struct text *form,
                        size_t from, size_t to, size_t window) {
  for (size_t i = from; i + window <= to; i++)
    CHECK(memmem(out->bytes, out->len, form->bytes + i, window) == NULL);
}

/* Without its marks the output is in the text, piece by piece. */
static void check_pieces(const struct text *out, const struct text *text) {
  const char *at = out->bytes, *end = out->bytes + out->len;
  const char *in = text->bytes, *in_end = text->bytes + text->len;
  while (at < end) {
    const char *mark = memmem(at, (size_t)(end - at), MARK, strlen(MARK));
    size_t piece = (size_t)((mark != NULL ? mark : end) - at);
    const char *found =
        piece == 0 ? in : memmem(in, (size_t)(in_end - in), at, piece);
    CHECK(found != NULL);
    in = found + piece;
    at = mark != NULL ? mark + strlen(MARK) : end;
  }
}

static void check(const struct text *text, const struct text *form,
                  const char *secret, enum form kind, size_t before) {
  struct uq_secrets secrets = {secret, NULL};
  struct text out = {malloc(8192), 0};
  size_t len = strlen(secret);
  CHECK(out.bytes != NULL);
  out.len = uq_redact(text->bytes, text->len, &secrets, false, out.bytes, 8192);
  CHECK(out.len != UQ_REDACT_NOMEM && out.len <= 8192);
  check_pieces(&out, text);
  if (text->len <= 4096) /* all of it was looked at, and there was room */
    CHECK(memmem(out.bytes, out.len, MARK, strlen(MARK)) != NULL);
  if (kind >= BASE64)
    check_parts(&out, form, (before * 8 + 5) / 6, (before + len) * 8 / 6,
                WINDOW);
  else if (kind == PLAIN)
    check_parts(&out, form, 0, form->len, PART);
  else
    check_parts(&out, form, 0, form->len, form->len / len * (PART + 1));
  secrets.sent = NULL;
  out.len = uq_redact(text->bytes, text->len, &secrets, false, out.bytes, 8192);
  CHECK(out.len == (text->len < 8192 ? text->len : 8192));
  CHECK(memcmp(out.bytes, text->bytes, out.len) == 0);
  free(out.bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len) {
  static const char alphabet[] =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_=.~:";
  if (len < 3 || len > 1024)
    return 0;
  enum form kind = bytes[0] % 8;
  size_t secret_len = 4 + bytes[1] % 96, before = bytes[2] % 7;
  char secret[100];
  if (len - 3 < secret_len)
    return 0;
  for (size_t i = 0; i < secret_len; i++)
    secret[i] = alphabet[bytes[3 + i] % (sizeof alphabet - 1)];
  secret[secret_len] = '\0';
  bytes += 3 + secret_len;
  len -= 3 + secret_len;
  struct text text = {NULL, 0}, form = {NULL, 0};
  if (kind < BASE64) {
    for (size_t i = 0; i < secret_len; i++)
      put_escaped(&form, kind, secret[i]);
  } else {
    struct text inner = {NULL, 0};
    put(&inner, "client", before % 7);
    put(&inner, secret, secret_len);
    put(&inner, ":\n", before % 3);
    put_base64(&form, kind == BASE64_URL, &inner);
    free(inner.bytes);
  }
  put(&text, (const char *)bytes, len / 2);
  put(&text, "|", 1); /* is in no escape and no base64 */
  put(&text, form.bytes, form.len);
  put(&text, "|", 1);
  put(&text, (const char *)bytes + len / 2, len - len / 2);
  check(&text, &form, secret, kind, before);
  free(text.bytes);
  free(form.bytes);
  return 0;
}
