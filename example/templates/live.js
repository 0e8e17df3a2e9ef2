// A WebSocket that comes back after the server has gone away: at first after a second, later more seldom.
function live(path, { message, open = () => {}, closed = () => {} }) {
  let wait = 1000;
  let socket;
  (function connect() {
    const scheme = location.protocol === "https:" ? "wss://" : "ws://";
    socket = new WebSocket(scheme + location.host + (typeof path === "function" ? path() : path));
    socket.onopen = () => { wait = 1000; open(); };
    socket.onmessage = (event) => message(JSON.parse(event.data));
    socket.onclose = () => { closed(); setTimeout(connect, wait); wait = Math.min(wait * 2, 30000); };
  })();
  return { send: (data) => socket.send(JSON.stringify(data)) };
}
