-- wrk's script: sends the requests of a file in turn, and says as JSON what came of it.
-- A line of the file is a method, a path and a body, parted by tabs. The key comes from the environment.
local requests, at = {}, 0

function init(arguments)
  local headers = {
    ["Authorization"] = "Bearer " .. os.getenv("PROSPOLABS_API_KEY"),
    ["Content-Type"] = "application/json",
  }
  for line in io.lines(arguments[1]) do
    local method, path, body = line:match("^(%S+)\t(%S+)\t(.*)$")
    requests[#requests + 1] = wrk.format(method, path, headers, body ~= "" and body or nil)
  end
end

function request()
  at = at % #requests + 1
  return requests[at]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    'JSON {"answers": %d, "refused": %d, "broken": %d, "seconds": %.6f, "p50_ms": %.3f, "p99_ms": %.3f}\n',
    summary.requests, errors.status, errors.connect + errors.read + errors.write + errors.timeout,
    summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3
  ))
end
