#!/bin/sh
# deps.sh TARGET: installs Debian packages (Debian 12 or later, and its derivatives), or names
# those of other systems. TARGET is deps (what building, demo and sandbox need), dev-deps (what
# all other targets but bench need), bench-deps (that, and what `make bench` needs) or
# matrix-deps (what makes chroots). Does not use the network if everything is installed.
#
# a|b: one of them, the first that the suite has; a?: omitted if the suite does not have it.
set -eu
export LC_ALL=C
target=${1:?"usage: deps.sh TARGET"}

# LuaJIT is OpenResty's, whose package is called luajit2 in Debian 12: there the package
# luajit conflicts with nginx's Lua module.
deps="
    gcc libc6-dev make libcurl4-openssl-dev|libcurl4-gnutls-dev
    lua5.4 liblua5.4-dev lua-cjson libluajit2-5.1-dev|libluajit-5.1-dev
    nginx libnginx-mod-http-lua openssl curl procps
"
dev_deps="$deps
    lua5.1 liblua5.1-0-dev lua5.2? liblua5.2-dev? lua5.3 liblua5.3-dev
    lua5.5? liblua5.5-dev? luajit2|luajit
    lua-busted lua-socket lua-sec lua-check luarocks
    lua-cqueues lua-luv lua-copas lua-coxpcall ca-certificates locales iproute2
    clang clang-format clang-tidy libclang-rt-dev llvm pmccabe valgrind
    debootstrap mount
"
case $target in
deps) packages=$deps ;;
dev-deps) packages=$dev_deps ;;
bench-deps) packages="$dev_deps lua-curl? lua-http" ;;
matrix-deps) packages="debootstrap mount" ;;
*) echo "deps.sh: there is no list of $target" >&2; exit 2 ;;
esac

# The exit status is 0: only the build can tell if something is missing.
name_others() {
    cat <<END
$target: this is not a Debian system: nothing was installed. What the demo and the sandbox
need is called, with Lua 5.4:

Fedora    dnf install gcc make libcurl-devel lua-devel luarocks openssl curl procps-ng
          luarocks install lua-cjson; openresty from OpenResty's own repository
          make demo LUA_BIN=lua
Alpine    apk add gcc musl-dev make curl-dev lua5.4 lua5.4-dev lua5.4-cjson luajit-dev \\
              nginx nginx-mod-http-lua openssl curl
Arch      pacman -S gcc make curl lua54 luarocks openssl procps-ng
          luarocks --lua-version=5.4 install lua-cjson; openresty from the AUR
Homebrew  brew install lua@5.4 luarocks curl openssl openresty/brew/openresty
          luarocks --lua-version=5.4 install lua-cjson
END
    [ "$target" = deps ] || echo "
The specs need busted, luasocket, luasec and luafilesystem besides (luarocks install NAME)."
}

# The commands are not enough: other systems have apt-get and dpkg, too, to build packages.
is_debian() {
    grep -qsE '^ID(_LIKE)?=.*(debian|ubuntu)' "${OS_RELEASE:-/etc/os-release}" &&
        command -v apt-get > /dev/null && command -v dpkg-query > /dev/null
}

# Print those of $names that are installed, and those that the repositories have.
installed() {
    # shellcheck disable=SC2086
    dpkg-query -W -f '${Package} ${Status}\n' $names 2> /dev/null |
        sed -n 's/ install ok installed$//p'
}

available() {
    # shellcheck disable=SC2086
    apt-cache policy $names 2> /dev/null |
        awk '/^[^ ]+:$/ { name = $1; sub(/:.*/, "", name) }
            $1 == "Candidate:" && $2 != "(none)" { print name }'
}

# Sets: absent, the packages to install; lacking, those that are needed and no repository has;
# optional, the others that no repository has.
look() {
    absent='' lacking='' optional=''
    names=$(echo "$packages" | tr '|?' '  ')
    here=" $(installed | tr '\n' ' ')" there=" $(available | tr '\n' ' ')"
    for entry in $packages; do
        chosen=''
        for name in $(echo "${entry%\?}" | tr '|' ' '); do
            case $here in *" $name "*) continue 2 ;; esac
            case $chosen,$there in ,*" $name "*) chosen=$name ;; esac
        done
        case $entry,$chosen in
        *,?*) absent="$absent $chosen" ;;
        *\?,) optional="$optional ${entry%\?}" ;;
        *) lacking="$lacking $entry" ;;
        esac
    done
}

is_debian || { name_others; exit 0; }
look
if [ -n "$absent$lacking" ]; then
    if [ "$(id -u)" != 0 ]; then
        echo "$target: run 'sudo make $target' (only root can install:$absent$lacking)" >&2
        exit 1
    fi
    export DEBIAN_FRONTEND=noninteractive
    export RUNLEVEL=1    # or the nginx package would start a server on port 80
    # It also fails if only one of several repositories fails: the others may be enough.
    apt-get -o Acquire::Retries=3 update -q || echo "$target: apt's lists may be old" >&2
    look
    if [ -n "$lacking" ]; then
        echo "$target: this system's repositories do not have:$lacking" >&2
        exit 1
    fi
    # shellcheck disable=SC2086
    [ -z "$absent" ] || apt-get -o Acquire::Retries=3 install -q -y \
        --no-install-recommends $absent
fi
[ -z "$optional" ] || echo "$target: there is no package of:$optional"
echo "$target: everything is installed"
