-- How long the engine waits for a response, by those that came before.

local engine = require "engine"

local unpack = rawget(table, "unpack") or unpack

describe("the slowest recent answer", function()
  it("is nothing before any, and at once what is slower", function()
    local latency = engine.latency()
    assert.equal(0, latency:slowest(100))
    latency:note(0.2, 100)
    assert.equal(0.2, latency:slowest(100))
    latency:note(0.1, 101)
    assert.equal(0.2, latency:slowest(101))
    latency:note(3, 102)
    assert.equal(3, latency:slowest(102))
  end)

  it("is remembered for a minute, and forgotten after some", function()
    local latency = engine.latency()
    latency:note(2, 1000)
    for now = 1001, 1060 do
      latency:note(0.1, now)
      assert.equal(2, latency:slowest(now))
    end
    for now = 1061, 1140 do latency:note(0.1, now) end
    assert.equal(0.1, latency:slowest(1140))
  end)

  it("is forgotten without any other answer, too", function()
    local latency = engine.latency()
    latency:note(2, 1000)
    assert.equal(2, latency:slowest(1120))
    assert.equal(0, latency:slowest(1130))
  end)

  it("is remembered for longer if it took longer", function()
    local latency = engine.latency()
    latency:note(600, 10000)
    assert.equal(600, latency:slowest(11200))
    latency:note(1, 11300)
    assert.equal(600, latency:slowest(11300))
  end)
end)

describe("the least that an answer takes", function()
  local function learned(...)
    local latency = engine.latency()
    for _, took in ipairs { ... } do latency:learn(took) end
    return latency:least()
  end

  it("is not known before some", function()
    assert.equal(0, learned())
    assert.equal(0, learned(0.06))
    assert.equal(0, learned(0.0004, 0.0004, 0.0004, 0.0004, 0.0004))
  end)

  it("is below the mean, the more so the more they differ", function()
    local same, alike, different = {}, {}, {}
    for n = 1, 40 do
      same[n], alike[n], different[n] = 0.06, 0.06 + n % 2 * 0.006, n % 2 * 0.06
    end
    same, alike = learned(unpack(same)), learned(unpack(alike))
    assert.is_true(same > 0.05 and same < 0.059, same)
    assert.is_true(alike > 0.045 and alike < 0.06, alike)
    assert.equal(0, learned(unpack(different)))
  end)

  it("follows answers that come earlier than somebody looks", function()
    local latency, looks = engine.latency(), 0
    for _ = 1, 40 do latency:learn(0.3) end
    repeat
      looks = looks + 1
      latency:learn(math.max(latency:least(), 0.05))
    until latency:least() < 0.05
    assert.is_true(looks < 20, looks)
    for _ = 1, 40 do latency:learn(math.max(latency:least(), 0.05)) end
    assert.is_true(latency:least() < 0.05)
  end)
end)
