"""Forty texts as people would write them in an emergency, at most 140 characters each: what the radio form is tried on.

None was drawn from the dictionary; the last four of each language were written after it was settled.
"""

from __future__ import annotations

TEXTS: dict[str, tuple[str, ...]] = {
    "en": (
        "Bridge on Mill Lane is under water, do not try to cross. Use the upper road past the church. Two "
        "cars stuck, people are safe.",
        "We are 6 adults and 3 children at the village hall. Need drinking water, blankets and insulin "
        "before tonight. Road from town is blocked.",
        "Power will be off in the whole valley until tomorrow morning. The clinic has a generator, bring "
        "medicines that must stay cold there.",
        "Has anyone seen my father, Thomas Reed, 78, grey coat, walks with a stick? Left the shelter at "
        "noon. Call Anna at the library please.",
        "Doctor needed at 14 Station Street: man, 60, chest pain, conscious. No phone signal here. Four of "
        "us can carry him to the car park.",
        "Chainsaw crew wanted at the north end of Oak Road, tree on the line and across both lanes. Keep "
        "children away, the wire is still live.",
        "Soup kitchen in the church basement 12:00 to 18:30, everyone welcome. We are short of bread, gas "
        "bottles and someone who can drive a van.",
        "River gauge at the weir reads 3.8 m and rising 10 cm an hour. If it passes 4.5 we move everybody "
        "below the school. Next report at 21:00.",
    ),
    "es": (
        "El puente del río está cortado y no se puede pasar. Hay dos familias aisladas en la finca, "
        "necesitan agua y comida antes de la noche.",
        "Buscamos a mi madre, Rosa Delgado, 71 años, abrigo azul. Salió del albergue esta mañana. Si la "
        "ven, avisen en la escuela por favor.",
        "Mañana a las 9 reparten agua potable y mantas en la plaza. Traigan bidones limpios. Primero van "
        "los ancianos, enfermos y niños pequeños.",
        "No beban agua del grifo, está contaminada. Hiérvanla tres minutos o usen dos gotas de lejía por "
        "litro. El camión cisterna viene a las seis.",
        "Mujer embarazada de 8 meses con dolores en la calle Olmo 12, segundo piso. No hay ascensor ni "
        "teléfono. Hace falta una ambulancia ya.",
        "El hospital comarcal funciona con generador. Solo urgencias. Quien tenga gasóleo de sobra, que "
        "avise a Marta en el ayuntamiento, gracias.",
        "Incendio en la ladera sur, el humo llega al pueblo. Cierren ventanas y preparen mochilas. Si suena "
        "la sirena, salgan por el camino viejo.",
        "Estamos bien los cinco, en casa de la tía Carmen, sin luz pero con comida para dos días. Avisad a "
        "Luis y a los abuelos de que no salgan.",
    ),
    "fr": (
        "Le pont est fermé et la route vers la ville est inondée. Restez chez vous, montez à l'étage et "
        "coupez le gaz et l'électricité.",
        "Nous sommes douze à l'école, dont quatre enfants et une femme enceinte. Il nous faut de l'eau, des "
        "couvertures et un médecin ce soir.",
        "Distribution d'eau potable demain à 8 heures devant la mairie. Apportez vos bidons. Les personnes "
        "âgées et malades passent en premier.",
        "Qui a vu mon frère Julien Morel, 34 ans, veste rouge ? Il est parti à pied vers le village hier "
        "soir et ne répond plus au téléphone.",
        "Fuite de gaz rue des Tilleuls, pompiers prévenus. Évacuez les numéros 2 à 30, n'allumez rien, "
        "rassemblement au stade côté parking.",
        "On cherche un groupe électrogène pour la pharmacie : l'insuline ne tiendra pas au froid après "
        "minuit. Contact : Claire, salle des fêtes.",
        "La famille Petit est bloquée au deuxième étage, 5 impasse du Moulin, l'eau monte encore. Un bateau "
        "ou un tracteur, vite s'il vous plaît.",
        "Tout va bien chez nous, les enfants dorment. La radio annonce du vent fort vers 3 h, rentrez ce "
        "qui traîne. Bonne nuit et à demain matin.",
    ),
    "de": (
        "Die Brücke am Mühlbach ist überflutet, bitte nicht befahren. Zwei Autos stehen im Wasser, alle "
        "Leute sind in Sicherheit.",
        "Wir sind zu siebt im Gemeindehaus, darunter drei Kinder. Wir brauchen Trinkwasser, Decken und "
        "Insulin noch vor heute Abend.",
        "Der Strom bleibt im ganzen Tal bis morgen früh weg. In der Praxis läuft ein Notstromgerät, dort "
        "kann man Handys und Medikamente abgeben.",
        "Wer hat meinen Vater gesehen? Karl Brandt, 81, grauer Mantel, geht am Stock. Er hat die Turnhalle "
        "gegen Mittag verlassen. Danke!",
        "Ältere Frau in der Gartenstraße 7 braucht Sauerstoff, die Flasche reicht noch zwei Stunden. Wer "
        "hat Ersatz oder kann sie fahren?",
        "Pegel an der Mühle 3,40 m, steigt 8 cm je Stunde. Ab 4 m räumen wir die Häuser am Ufer. Bitte "
        "Nachbarn wecken und Autos hochstellen.",
        "Ab 17 Uhr gibt es im Feuerwehrhaus warme Suppe und Tee. Schlafplätze für zwanzig Leute sind frei, "
        "Decken und Hunde bitte mitbringen.",
        "Uns geht es gut, wir sind bei Oma oben im Dorf. Telefon geht nicht. Wenn ihr Funk habt, meldet "
        "euch morgen um acht noch einmal hier.",
    ),
    "ht": (
        "Dlo a anvayi tout katye a, pon an kase. Nou gen kat timoun ak de granmoun malad sou do kay la. "
        "Tanpri voye èd anvan lannwit.",
        "Nou nan lekòl la ak 40 moun. Nou pa gen dlo pou bwè ni manje depi yè. Nou bezwen medikaman pou "
        "moun ki gen lafyèv ak dyare.",
        "Sant sante a ap louvri demen maten a 8è. Pote dlo pwòp ak kat idantite w. Fanm ansent ak timoun "
        "piti ap pase an premye.",
        "Èske gen moun ki wè frè m Jean Pierre? Li gen 25 an, li te nan mache a lè tè a tranble. Rele m "
        "oswa kite yon mesaj nan legliz la.",
        "Gen yon fanm k ap akouche nan Ri Lavil 8, pa gen machin. Si gen yon doktè oswa yon fanmsaj toupre, "
        "tanpri vin ede l kounye a menm.",
        "Nou wè lafimen sou mòn nan depi maten. Dife a ap desann bò katye a. Sere dokiman nou yo, mete "
        "timoun yo nan gwo wout la.",
        "Kamyon dlo a ap pase demen a 2è nan kafou a. Pote bokit ak galon. Dlo larivyè a pa bon, bouyi l "
        "oswa mete klowòks anvan nou bwè l.",
        "Nou tout anfòm, nou lakay matant Mari. Pa gen kouran, telefòn yo prèske mouri. Di manman nou ap "
        "tounen lè wout la louvri ankò.",
    ),
}
