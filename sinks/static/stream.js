// The stream of states. The browser does not retry a stream that was refused, and does not notice a silent one: both is
// done here.

const SILENT_AFTER = 15; // s without a sign of life; the server sends one every 5 s
const AGAIN_AFTER = 2000; // ms
const monotonic = () => performance.now() / 1000;

export let connection = "connecting"; // or "open", or "lost"
export let lostAt = null; // s since 1970
let clock = null; // {at: s of the server, here: monotonic s}
let source = null;
let heard = 0;
let again = null;
let tell = null;

// The server's time, s since 1970; null while it is unknown.
export const serverNow = () => (clock ? clock.at + monotonic() - clock.here : null);

// Follow the stream. `handlers`: state(newest), beat(), opened() after each new connection, lost().
export function follow(handlers) {
  tell = handlers;
  connect();
}

function connect() {
  clearTimeout(again);
  source?.close();
  source = new EventSource("/live/events");
  heard = monotonic();
  source.addEventListener("beat", (event) => {
    hear();
    clock = { at: JSON.parse(event.data).at / 1e6, here: monotonic() };
    tell.beat();
  });
  source.addEventListener("state", (event) => { hear(); tell.state(JSON.parse(event.data)); });
  source.addEventListener("error", lose);
}

function hear() {
  heard = monotonic();
  if (connection === "open") return;
  connection = "open";
  tell.opened();
}

// Lose a connection that has been silent for too long.
export function checkSilence() {
  if (connection !== "lost" && monotonic() - heard > SILENT_AFTER) lose();
}

function lose() {
  if (connection !== "lost") {
    connection = "lost";
    lostAt = Date.now() / 1000;
    tell.lost();
  }
  source.close();
  clearTimeout(again);
  again = setTimeout(connect, AGAIN_AFTER);
}
