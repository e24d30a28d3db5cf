// Shows what the service has learned about the city, and starts and stops the simulated visitors.
const learning = document.getElementById("learning");
const button = document.getElementById("visitors");
const told = document.getElementById("told");
const LOOK_MS = 1000;

const percent = (share) => `${(share * 100).toFixed(share < 0.1 ? 1 : 0)} %`;

const newRow = () => {
  const row = document.createElement("li");
  row.innerHTML = '<span></span><span class="track"><i></i></span><span class="share"></span>';
  return row;
};

const drawSlot = (figure, banners) => {
  const list = figure.querySelector("ol");
  while (list.children.length < banners.length) list.append(newRow());
  while (list.children.length > banners.length) list.lastChild.remove();
  const most = Math.max(...banners.map((one) => one.probability));
  banners.forEach((one, place) => {
    const row = list.children[place];
    const [name, track, share] = row.children;
    name.textContent = one.banner;
    track.firstChild.style.width = `${one.probability * 100}%`;
    share.textContent = percent(one.probability);
    row.className = one.probability === most ? "best" : "";
    row.title = `${one.alt}: ${Math.round(one.clicks)} clicks of ${Math.round(one.trials)}`;
  });
};

const draw = (state) => {
  button.disabled = false;
  button.setAttribute("aria-pressed", state.running);
  button.textContent = state.running ? "Stop the visitors" : "Simulate visitors";
  told.value = state.told;
  for (const figure of learning.querySelectorAll("figure")) drawSlot(figure, state.slots?.[figure.dataset.slot] ?? []);
};

const look = async () => {
  if (document.hidden) return;
  try {
    const answer = await fetch(`/demo/state?city=${encodeURIComponent(learning.dataset.city)}`);
    if (answer.ok) draw(await answer.json());
  } catch {
    button.disabled = true;
    told.value = "The service does not answer.";
  }
};

button.addEventListener("click", async () => {
  button.disabled = true;
  const running = button.getAttribute("aria-pressed") !== "true";
  const headers = { "Content-Type": "application/json" };
  await fetch("/demo/visitors", { method: "PUT", headers, body: JSON.stringify({ running }) }).catch(() => {});
  look();
});
document.querySelector("form").addEventListener("change", (event) => event.currentTarget.requestSubmit());

look();
setInterval(look, LOOK_MS);
