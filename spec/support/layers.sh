#!/bin/sh
# layers.sh BINDING ENGINE LUA_INCDIR: engine files see no header of Lua, binding files none
# of curl, however deep; and every file of src is one or the other.
set -u
binding=$1 engine=$2 incdir=$3
cc=${CC:-cc}
broken=0

complain() {
    echo "layers: $*" >&2
    broken=1
}

for name in $engine; do
    # without Lua's include folder: an engine file cannot even find it
    seen=$($cc -std=c99 -M "src/$name.c") || complain "src/$name.c needs more than the engine has"
    case $seen in */lua.h* | */lauxlib.h*) complain "src/$name.c includes Lua's headers" ;; esac
done
for name in $binding; do
    seen=$($cc -std=c99 -I"$incdir" -M "src/$name.c") || complain "src/$name.c does not compile"
    case $seen in */curl/*) complain "src/$name.c includes curl's headers" ;; esac
done
for file in src/*.c; do
    name=$(basename "$file" .c)
    case " $binding $engine " in *" $name "*) ;; *) complain "$file is on no layer" ;; esac
done
[ $broken = 0 ] && echo "layers: as designed"
exit $broken
