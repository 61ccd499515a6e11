// The data card. Stands behind the player's files in one inline module and uses their `mount`.
{
  const scene = JSON.parse(document.getElementById("data").textContent);
  const narrow = document.documentElement.clientWidth < 640; // four bodies then stand two by two
  mount(document.getElementById("samples"), { scene, height: narrow ? 440 : 300, playing: true });
  document.documentElement.dataset.ready = "1";
}
