"use strict";
// One sound at a time; a second click stops it.
let playing = null;
function stop() {
  playing?.audio.pause();
  playing?.button.setAttribute("aria-pressed", "false");
  playing = null;
}
for (const button of document.querySelectorAll("[data-sound]")) {
  button.addEventListener("click", () => {
    const again = playing?.button === button;
    stop();
    if (again) return;
    playing = { button, audio: new Audio(`data:audio/mpeg;base64,${button.dataset.sound}`) };
    playing.audio.addEventListener("ended", stop);
    button.setAttribute("aria-pressed", "true");
    playing.audio.play();
  });
}
