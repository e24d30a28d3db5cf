-- What wrk sends. Arguments: banner KEY SLOTS CITIES | page KEY SLOTS CITIES ON-A-PAGE | click KEY FILE-OF-TOKENS
-- Ids are slot-1 .. slot-N and city-1 .. city-N, as benchmarks/content.py makes them.

local threads = {}
local heads, count, tail, tokens, key
used_up = false

function setup(thread)
  table.insert(threads, thread)
  thread:set("number", #threads)
end

local function prepare_banner(slots, cities)
  heads, count = {}, 0
  for slot = 1, slots do
    for city = 1, cities do
      count = count + 1
      heads[count] = string.format("GET /banner?slot=slot-%d&city=city-%d&customer_id=", slot, city)
    end
  end
  tail = " HTTP/1.1\r\nHost: " .. wrk.headers["Host"] .. "\r\nAuthorization: Bearer " .. key .. "\r\n\r\n"
end

local function next_banner()
  return heads[math.random(count)] .. math.random(1000000) .. tail
end

local function prepare_page(slots, cities, on_a_page)
  heads, count = {}, 0
  for first = 1, slots do
    local names = {}
    for place = 0, on_a_page - 1 do
      names[place + 1] = string.format('"slot-%d"', (first + place - 1) % slots + 1)
    end
    for city = 1, cities do
      count = count + 1
      heads[count] = string.format('{"slots":[%s],"city":"city-%d","customer_id":"', table.concat(names, ","), city)
    end
  end
  tail = "POST /page HTTP/1.1\r\nHost: " .. wrk.headers["Host"] .. "\r\nAuthorization: Bearer " .. key ..
    "\r\nContent-Type: text/plain\r\nContent-Length: "
end

local function next_page()
  local body = heads[math.random(count)] .. math.random(1000000) .. '"}'
  return tail .. #body .. "\r\n\r\n" .. body
end

local function prepare_click(path)
  tokens = io.open(path)
  heads = "POST /click HTTP/1.1\r\nHost: " .. wrk.headers["Host"] .. "\r\nAuthorization: Bearer " .. key ..
    "\r\nContent-Type: application/json\r\nContent-Length: "
end

local function next_click()
  local token = tokens:read()
  if not token then
    used_up = true
    tokens:seek("set")
    token = tokens:read()
  end
  local body = '{"token":"' .. token .. '"}'
  return heads .. #body .. "\r\n\r\n" .. body
end

function init(arguments)
  math.randomseed(number * 7919 + os.time())
  key = arguments[2]
  if arguments[1] == "banner" then
    prepare_banner(tonumber(arguments[3]), tonumber(arguments[4]))
    request = next_banner
  elseif arguments[1] == "page" then
    prepare_page(tonumber(arguments[3]), tonumber(arguments[4]), tonumber(arguments[5]))
    request = next_page
  else
    prepare_click(arguments[3])
    request = next_click
  end
end

function done(summary, latency)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.timeout
  local again = 0
  for _, thread in ipairs(threads) do
    if thread:get("used_up") then again = 1 end
  end
  io.write(string.format("RESULT %d %d %d %d %d %d\n",
    summary.requests, summary.duration, latency:percentile(99), errors.status, failed, again))
end
