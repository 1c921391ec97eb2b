# ir.sh DIR [LUA] [INFLIGHT] : instructions a call of DIR's client
. /tmp/bench.env; cd $1; L=${2:-5.4}; K=${3:-1}; B=lua$L; [ $L = jit ] && B=luajit
F=300; T=1500; [ $K -gt 1 ] && F=640 && T=1920
run() { LUA_PATH='./?.lua;./src/?.lua;;' LUA_CPATH="build/$L/?.so;;" taskset -c 1 valgrind --tool=callgrind --callgrind-out-file=/dev/null $B spec/bench/client.lua $https/five $ca_file 1.1 $K $1 2>&1 | sed -n 's/.*Collected : //p'; }
a=$(run $F); b=$(run $T); echo "$1 $L $K: $(( (b-a)/(T-F) ))"
