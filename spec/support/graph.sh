#!/bin/sh
# graph.sh OUT ENGINE_OUT OBJECT...: the graph of linker symbols between the object files below
# OUT, and those of the engine below ENGINE_OUT. It must have no circle, and arrows between
# folders only as designed.
set -u
out=$1 engine=$2
shift 2
nm -P -A "$@" | awk -v out="$out/" -v engine="$engine/" '
    function folder(node) { return node ~ /\// ? substr(node, 1, match(node, /\/[^\/]*$/) - 1) : "binding" }
    function allowed(from, to) {
        return from == to || from == "binding" && to ~ /^engine\// ||
            from == "engine/http" && to == "engine/event" ||
            from ~ /^engine\// && to == "engine/base"
    }
    # Removes the nodes that no circle can contain: those that use no other node that is left,
    # or, by `to`, are used by none.
    function strip(key,   changed, arrow, ends, busy, node) {
        do {
            split("", busy)
            for (arrow in arrows) { split(arrow, ends, SUBSEP); busy[ends[key]] = 1 }
            changed = 0
            for (arrow in arrows) {
                split(arrow, ends, SUBSEP)
                if (!(ends[3 - key] in busy)) { delete arrows[arrow]; changed = 1 }
            }
        } while (changed)
    }
    {
        node = $1
        sub(/:$/, "", node); sub(/\.o$/, "", node)
        if (index(node, engine) == 1) node = "engine/" substr(node, length(engine) + 1)
        else node = substr(node, length(out) + 1)
        if ($3 == "U") uses[node, $2] = 1
        else if ($3 ~ /^[TDBRC]$/) home[$2] = node
        nodes[node] = 1
    }
    END {
        for (use in uses) {
            split(use, part, SUBSEP)
            if (!(part[2] in home) || home[part[2]] == part[1]) continue
            arrows[part[1], home[part[2]]] = arrows[part[1], home[part[2]]] " " part[2]
        }
        for (arrow in arrows) {
            split(arrow, ends, SUBSEP)
            count++
            if (allowed(folder(ends[1]), folder(ends[2]))) continue
            print "graph: " ends[1] " must not use " ends[2] ":" arrows[arrow]
            broken = 1
        }
        strip(1)
        strip(2)
        for (arrow in arrows) {
            split(arrow, ends, SUBSEP)
            print "graph: in a circle: " ends[1] " -> " ends[2] ":" arrows[arrow]
            broken = 1
        }
        for (node in nodes) files++
        if (!broken) print "graph: " files " files, " count " arrows, no circle"
        exit broken
    }'
