#!/bin/sh
# locales.sh DIR: makes the locales de_DE and tr_TR in DIR, since few systems have them.
# German has a decimal comma and a point between thousands; the lower case of the Turkish
# I is not i. They are of one byte a character, which is faster to make.
set -u
dir=${1:?"usage: locales.sh DIR"}
mkdir -p "$dir"
make() { localedef --no-archive -i "$1" -f "$2" "$dir/$1" 2>&1; }
{ make de_DE ISO-8859-1 & make tr_TR ISO-8859-9; wait; } > "$dir/log"
for locale in de_DE tr_TR; do
    [ "$(LC_ALL=$locale LOCPATH=$dir locale decimal_point 2>&1)" = , ] && continue
    echo "no locales (Debian: apt-get install locales):" >&2
    cat "$dir/log" >&2
    exit 1
done
