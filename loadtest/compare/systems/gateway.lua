-- What nginx does of itself in `full`: whose host it is, whose key, how often; and the metrics of it.
-- Hosts and keys are in Redis, and for a minute in memory shared by all workers; a limit is one script in Redis for
-- each request. Redis is spoken to over ngx.socket.tcp with its pool of idle connections.

local ffi = require "ffi"
ffi.cdef "unsigned char *SHA256(const unsigned char *text, size_t length, unsigned char *digest);"

local CACHED_S, TIMEOUT_MS, IDLE_MS, POOL = 60, 50, 300000, 256
local shared, digest, counted = ngx.shared, ffi.new("unsigned char[32]"), {}
local gateway = {}

local function sha256(text)
    ffi.C.SHA256(text, #text, digest)
    return ffi.string(digest, 32)
end

local function read_reply(socket)
    local line, fault = socket:receive()
    if not line then return nil, fault end
    local kind, rest = line:sub(1, 1), line:sub(2)
    if kind == ":" then return tonumber(rest) end
    if kind == "+" then return rest end
    if kind == "-" then return nil, rest end
    local length = tonumber(rest)
    if length < 0 then return false end
    if kind == "$" then
        local data, broken = socket:receive(length + 2)
        return data and data:sub(1, length), broken
    end
    local items = {}
    for at = 1, length do
        local item, broken = read_reply(socket)
        if item == nil then return nil, broken end
        items[at] = item
    end
    return items
end

local function ask(...)
    local socket = ngx.socket.tcp()
    socket:settimeout(TIMEOUT_MS)
    local connected, fault = socket:connect("127.0.0.1", gateway.redis_port)
    if not connected then return nil, fault end
    local words = {...}
    local parts = {"*", #words, "\r\n"}
    for _, word in ipairs(words) do
        local text = tostring(word)
        local at = #parts
        parts[at + 1], parts[at + 2], parts[at + 3], parts[at + 4], parts[at + 5] = "$", #text, "\r\n", text, "\r\n"
    end
    local sent, broken = socket:send(parts)
    if not sent then return nil, broken end
    local reply, complaint = read_reply(socket)
    if reply ~= nil then socket:setkeepalive(IDLE_MS, POOL) end
    return reply, complaint
end

-- The value in shared memory, else in Redis: false when there is none, nil when Redis does not answer.
local function look_up(cache, hash, name)
    local value = cache:get(name)
    if value ~= nil then return value end
    local found, fault = ask("HGET", hash, name)
    if found == nil then
        ngx.log(ngx.ERR, "redis: ", fault)
        return nil
    end
    cache:set(name, found, CACHED_S)
    return found
end

local function refuse(status)
    return ngx.exit(status)
end

function gateway.access()
    local tenant = look_up(shared.hosts, "hosts", ngx.var.host)
    if tenant == nil then return refuse(503) end
    if not tenant then return refuse(421) end
    local secret = ngx.var.http_x_api_key
    if not secret then return refuse(401) end
    local owner = look_up(shared.keys, "keys", sha256(secret))
    if owner == nil then return refuse(503) end
    if not owner then return refuse(401) end
    local owns, key_id = owner:match("^([^:]+):(.+)$")
    if owns ~= tenant then return refuse(401) end
    local name = "rl:" .. tenant .. ":" .. key_id
    local taken, fault = ask("EVALSHA", gateway.script, 1, name, gateway.interval_us, gateway.burst)
    if not taken then
        ngx.log(ngx.ERR, "redis: ", fault)
        return refuse(503)
    end
    ngx.header["RateLimit-Policy"] = gateway.policy
    ngx.header["RateLimit"] = '"per-key";r=' .. taken[2] .. ";t=" .. taken[3]
    if taken[1] == 0 then
        ngx.header["Retry-After"] = taken[3]
        return refuse(429)
    end
    ngx.var.tenant, ngx.var.key_id = tenant, key_id
    ngx.req.clear_header("X-API-Key")
end

local BUCKETS_S = {0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10}

local function count(name)
    counted[name] = (counted[name] or 0) + 1
end

function gateway.log()
    count("requests_total{status=\"" .. math.floor(ngx.status / 100) .. "xx\"}")
    local took_s = ngx.now() - ngx.req.start_time()
    for _, most_s in ipairs(BUCKETS_S) do
        if took_s <= most_s then
            count("request_duration_seconds_bucket{le=\"" .. most_s .. "\"}")
            break
        end
    end
end

local function share_counts()
    for name, number in pairs(counted) do
        shared.metrics:incr(name, number, 0)
    end
    counted = {}
end

function gateway.start_worker()
    ngx.timer.every(1, share_counts)
end

function gateway.metrics()
    for _, name in ipairs(shared.metrics:get_keys(0)) do
        ngx.say(name, " ", shared.metrics:get(name))
    end
end

return gateway
