/*
** quote.c - the marking of numbers (src/engine/number/json_numbers.c) against a
** scan byte by byte: the output is the text with each number marked and nothing
** else changed, and a rejected text is not JSON. The first byte:
** allow_trailing_comma.
** SPDX-License-Identifier: MIT
*/
#include "fuzz.h"

#include "engine/number/json_numbers.h"
#include "engine/number/number.h"

/* What the text must become; false: it holds what no JSON has. Only what the
** quoting has promised to check is looked at. */
struct oracle {
  const unsigned char *text;
  size_t len, at, out_len, members;
  bool mend;
  char *out;
};

static void put(struct oracle *o, char c) { o->out[o->out_len++] = c; }

static bool is_space(unsigned char c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* One code point of UTF-8, by its value: the shortest form, no surrogate. */
static bool take_utf8(struct oracle *o) {
  unsigned char first = o->text[o->at];
  int more = first >= 0xF0 ? 3 : first >= 0xE0 ? 2 : 1;
  static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
  if (first < 0xC0 || first > 0xF7 || o->len - o->at < (size_t)more + 1)
    return false;
  uint32_t value = first & (0x3F >> more);
  put(o, (char)first);
  for (int i = 1; i <= more; i++) {
    unsigned char c = o->text[o->at + (size_t)i];
    if (c < 0x80 || c > 0xBF)
      return false;
    value = value << 6 | (c & 0x3F);
    put(o, (char)c);
  }
  o->at += (size_t)more + 1;
  return value >= least[more] && value <= 0x10FFFF &&
         (value < 0xD800 || value > 0xDFFF);
}

static bool take_string(struct oracle *o) {
  put(o, (char)o->text[o->at++]);
  while (o->at < o->len) {
    unsigned char c = o->text[o->at];
    if (c < 32)
      return false;
    if (c >= 0x80) {
      if (!take_utf8(o))
        return false;
      continue;
    }
    put(o, (char)c);
    o->at++;
    if (c == '"')
      return true;
    if (c == '\\') { /* what is escaped is looked at by nobody */
      if (o->at == o->len)
        return false;
      put(o, (char)o->text[o->at++]);
    }
  }
  return false;
}

static bool take_word(struct oracle *o) {
  static const char *const literals[] = {"null", "true", "false"};
  size_t n = 0;
  const char *word = (const char *)o->text + o->at;
  while (o->at + n < o->len &&
         (strchr("_.+-", word[n]) != NULL ||
          (word[n] >= '0' && word[n] <= '9') ||
          (word[n] >= 'a' && word[n] <= 'z') ||
          (word[n] >= 'A' && word[n] <= 'Z')) &&
         word[n] != '\0')
    n++;
  if (n == 0)
    return false;
  bool number = *word == '-' || (*word >= '0' && *word <= '9');
  bool good = number && uq_number_valid(word, n);
  for (int i = 0; i < 3; i++)
    good =
        good || (strlen(literals[i]) == n && memcmp(literals[i], word, n) == 0);
  if (number) {
    put(o, '"');
    put(o, UQ_NUMBER_MARK);
  }
  for (size_t i = 0; i < n; i++)
    put(o, word[i]);
  if (number)
    put(o, '"');
  o->at += n;
  return good;
}

static bool run(struct oracle *o) {
  int depth = 0;
  unsigned char before = 0; /* the last byte that is no blank */
  while (o->at < o->len) {
    unsigned char c = o->text[o->at];
    size_t next = o->at + 1;
    while (next < o->len && is_space(o->text[next]))
      next++;
    if (c == '"') {
      if (!take_string(o))
        return false;
      before = '"';
      continue;
    }
    if (is_space(c)) {
      put(o, (char)c);
      o->at++;
      continue;
    }
    if (strchr("{}[]:,", c) == NULL || c == '\0') {
      if (!take_word(o))
        return false;
      before = 'w';
      continue;
    }
    depth += c == '{' || c == '[';
    depth -= c == '}' || c == ']';
    if (depth > UQ_JSON_DEPTH || (c == ':' && before != '"'))
      return false;
    o->members += c == ':';
    bool trailing = c == ',' && next < o->len &&
                    (o->text[next] == '}' || o->text[next] == ']');
    if (!o->mend || !trailing)
      put(o, (char)c);
    before = c;
    o->at++;
  }
  return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len) {
  if (len == 0)
    return 0;
  bool mend = bytes[0] & 1;
  char *text = fuzz_copy(bytes + 1, --len, false);
  struct oracle o = {(const unsigned char *)text, len, 0, 0, 0, mend, NULL};
  struct uq_buf out;
  struct uq_json_numbers result;
  o.out = malloc(4 * len + 8);
  CHECK(o.out != NULL);
  uq_buf_init(&out, 3 * len + 3); /* as the binding does */
  enum uq_json_numbers_status status =
      uq_json_stringify_numbers(text, len, mend, &out, &result);
  CHECK(status != UQ_JSON_NUMBERS_NOMEM);
  bool good = run(&o);
  CHECK((status == UQ_JSON_NUMBERS_OK) == good);
  if (good) {
    CHECK(out.len == o.out_len);
    CHECK(out.len == 0 || memcmp(out.data, o.out, out.len) == 0);
    CHECK(result.members == o.members);
  } else {
    CHECK(result.why != NULL && result.at >= 1 && result.at <= len + 1);
  }
  uq_buf_free(&out);
  free(o.out);
  free(text);
  return 0;
}
