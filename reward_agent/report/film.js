"use strict";
// A film's own controls: pause, scrub, slow motion. It is a video, or an animated picture whose
// frames this browser can decode; elsewhere both keep what the browser has.
(() => {
  const SPEEDS = [1, 0.5, 0.25, 0.1];
  const isCalm = window.matchMedia("(prefers-reduced-motion: reduce)").matches;

  async function readBytes(address) {
    if (!address.startsWith("data:")) return (await fetch(address)).arrayBuffer();
    return Uint8Array.from(atob(address.split(",")[1]), (letter) => letter.charCodeAt(0)).buffer;
  }

  // An animated picture that is played like a video, on a canvas.
  class Animation {
    static async open(image) {
      const data = await readBytes(image.src);
      const decoder = new ImageDecoder({ data, type: "image/webp" });
      await decoder.completed;
      const first = (await decoder.decode({ frameIndex: 0 })).image;
      return new Animation(image, decoder, first);
    }
    constructor(image, decoder, first) {
      this.decoder = decoder;
      this.frameS = first.duration / 1e6;
      this.duration = this.frameS * decoder.tracks.selectedTrack.frameCount;
      this.currentTime = 0;
      this.playbackRate = 1;
      this.paused = true;
      this.shown = -1;
      this.canvas = document.createElement("canvas");
      this.canvas.width = first.displayWidth;
      this.canvas.height = first.displayHeight;
      this.canvas.setAttribute("role", "img");
      this.canvas.setAttribute("aria-label", image.alt);
      first.close();
      image.replaceWith(this.canvas);
    }
    play() { this.paused = false; }
    pause() { this.paused = true; }
    async step(seconds) {
      // The first frame of a page may have begun before its script did.
      const more = Math.max(0, seconds) * this.playbackRate;
      if (!this.paused) this.currentTime = (this.currentTime + more) % this.duration || 0;
      const last = this.decoder.tracks.selectedTrack.frameCount - 1;
      const frame = Math.min(last, Math.floor(this.currentTime / this.frameS) || 0);
      if (frame === this.shown || this.isBusy) return;
      this.isBusy = true;
      const { image } = await this.decoder.decode({ frameIndex: frame });
      this.canvas.getContext("2d").drawImage(image, 0, 0);
      image.close();
      this.shown = frame;
      this.isBusy = false;
    }
  }

  function make(tag, label, className) {
    const made = document.createElement(tag);
    if (tag === "button") made.type = "button";
    made.className = className;
    if (label) made.setAttribute("aria-label", label);
    return made;
  }

  function addControls(place, film) {
    const bar = make("div", "Controls of the film", "controls");
    bar.setAttribute("role", "group");
    const play = make("button", "Pause", "play");
    const scrub = make("input", "Place in the film", "scrub");
    scrub.type = "range"; scrub.min = 0; scrub.max = 1000; scrub.value = 0;
    const time = make("span", "", "time");
    const speed = make("button", "", "speed");
    speed.textContent = "speed 1×";
    bar.append(play, scrub, time, speed);
    place.append(bar);

    play.addEventListener("click", () => (film.paused ? film.play() : film.pause()));
    scrub.addEventListener("input", () => {
      film.pause();
      film.currentTime = Math.min((scrub.value / 1000) * film.duration, film.duration - 0.001);
    });
    speed.addEventListener("click", () => {
      const next = SPEEDS[(SPEEDS.indexOf(film.playbackRate) + 1) % SPEEDS.length];
      film.playbackRate = next;
      speed.textContent = "speed " + next + "×";
    });

    let before = performance.now();
    function refresh(now) {
      if (!bar.isConnected) return;
      if (film.step) film.step((now - before) / 1000);
      before = now;
      const label = film.paused ? "Play" : "Pause";
      if (play.getAttribute("aria-label") !== label || !play.textContent) {
        play.textContent = film.paused ? "▶" : "❚❚";
        play.setAttribute("aria-label", label);
      }
      if (film.duration) {
        if (document.activeElement !== scrub || !film.paused) scrub.value = (1000 * film.currentTime) / film.duration;
        time.textContent = film.currentTime.toFixed(1) + " / " + film.duration.toFixed(1) + " s";
      }
      requestAnimationFrame(refresh);
    }
    requestAnimationFrame(refresh);
    if (!isCalm) film.play();
  }

  async function equip(place) {
    if (place.dataset.equipped) return;
    place.dataset.equipped = "yes";
    const video = place.querySelector("video");
    const image = place.querySelector("img");
    if (video) {
      video.controls = false;
      addControls(place, video);
    } else if (image && "ImageDecoder" in window) {
      try { addControls(place, await Animation.open(image)); }
      catch { return; } // the picture stays as it is
      for (const button of place.querySelectorAll("button:not(.controls button)")) button.remove();
    }
  }

  function equipAll(root) {
    if (root.matches && root.matches(".film")) equip(root);
    for (const place of root.querySelectorAll(".film")) equip(place);
  }
  document.addEventListener("htmx:load", (event) => equipAll(event.detail.elt));
  equipAll(document);
})();
